"""Everything that can be swapped. Importable as ``chunkygan.components`` only, so that a class has one name."""

if __name__ != "chunkygan.components":
    raise ImportError("import chunkygan.components, not components")
