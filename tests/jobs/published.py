"""What a published dataset consists of, to compare two of them."""


def hashes(dataset, folder=""):
    """The hash of every file below a folder."""
    files = dataset.manifest.files
    return {file.path: file.sha256 for file in files if file.path.startswith(folder)}
