"""Write the export folder: file, contract, verification, layer report."""
