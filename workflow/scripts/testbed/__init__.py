"""What two or more scripts share, in one package for each stage; packages import only from layers below their own."""
