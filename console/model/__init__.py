"""The words of the product as frozen typed records. No input or output happens here."""
