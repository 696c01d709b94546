"""A stand-in for the Hugging Face Hub on loopback: the files of a folder, as its client asks for them."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """A Hub whose repository ``owner/name`` has the files of ``folder/owner/name``, and the paths that it was asked for."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


def api_answer(folder: Path, path: str) -> object | None:
    """What the Hub's API says of a dataset's commit or files; None for other paths.

    ``.bin``, ``.parquet`` and ``.tar`` are in LFS.
    """
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[:2] != ["api", "datasets"] or not (folder / "datasets" / parts[2] / parts[3]).is_dir():
        return None
    dataset = folder / "datasets" / parts[2] / parts[3]
    if parts[4:5] != ["tree"]:
        return {"id": f"{parts[2]}/{parts[3]}", "sha": COMMIT, "siblings": []}
    entries = []
    for file in sorted(dataset.rglob("*")):
        entry = {"path": str(file.relative_to(dataset)), "oid": "0" * 40, "size": 0, "type": "directory"}
        if file.is_file():
            size = file.stat().st_size
            entry |= {"type": "file", "size": size}
            if file.suffix in (".bin", ".parquet", ".tar"):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 130}
        entries.append(entry)
    return entries


@contextmanager
def serve_hub(folder: Path) -> Iterator[Hub]:
    """A Hub that answers for as long as the context lasts."""
    hub = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            hub.asked.append(self.path)
            hub.tokens.append(self.headers.get("Authorization"))
            private = "/private/" in self.path and self.headers.get("Authorization") != "Bearer hf_secret"
            api = api_answer(folder, self.path)
            if private or api is not None:
                body = b"" if private else json.dumps(api).encode()
                self.send_response(401 if private else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)
                return
            repository, _, rest = self.path.partition("?")[0].strip("/").partition("/resolve/")
            path = folder / repository / rest.partition("/")[2]
            if not rest or not path.is_file():
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(str(path).encode()).hexdigest()}"')
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            if with_body:
                with open(path, "rb") as file:
                    while block := file.read(1 << 20):
                        self.wfile.write(block)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def write_siglip_tokenizer(folder: Path, words: list[str]) -> None:
    """Save a small tokenizer of the class of SigLIP's (T5, sentencepiece unigrams, padded with its end) into `folder`."""
    import io
    import random

    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
    from transformers import T5TokenizerFast

    draw, pieces = random.Random(0), io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(" ".join(draw.choices(words, k=8)) for _ in range(500)),
        model_writer=pieces,
        vocab_size=150,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    model = SentencePieceProcessor(model_proto=pieces.getvalue())
    vocab = [(model.id_to_piece(number), model.get_score(number)) for number in range(model.get_piece_size())]
    T5TokenizerFast(vocab=vocab, extra_ids=0, pad_token="</s>").save_pretrained(folder)
