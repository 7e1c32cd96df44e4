"""The commands, one small file each; imported when used."""
