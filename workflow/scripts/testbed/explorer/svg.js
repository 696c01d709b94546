/* Elements, and lists of elements that are reused between drawings, so that they are animated and keep the focus. */

const SVG = "http://www.w3.org/2000/svg";

function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function svg(name, attributes = {}, parent = null) {
  const element = setAll(document.createElementNS(SVG, name), attributes);
  if (parent) parent.append(element);
  return element;
}

function html(name, attributes = {}, ...children) {
  const element = setAll(document.createElement(name), attributes);
  element.append(...children);
  return element;
}

/** Updates the children of `parent` to those of `items`, in their order; a child is reused if its key is the same. */
function updateChildren(parent, items, keyOf, create, change) {
  parent.kept ||= new Map();
  const before = parent.kept;
  parent.kept = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const element = before.get(key) || create(item);
    before.delete(key);
    parent.kept.set(key, element);
    change(element, item);
  }
  for (const element of before.values()) element.remove();
  let place = parent.firstChild;
  for (const element of parent.kept.values()) {
    // moving an element removes its focus, so only elements in another position are moved
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
}
