#!/usr/bin/python3
"""Makes archives that no tar would make, and OCI layouts of archives.

    archive.py tar FILE ENTRY...        ENTRY is file:NAME:TEXT, exec:NAME:PATH (a program of this host), dir:NAME,
                                        link:NAME:TARGET, hard:NAME:TARGET, char:NAME or fifo:NAME
    archive.py oci DIR CONFIG LAYER...  an OCI layout; CONFIG is its configuration as JSON, each LAYER an archive
"""
import hashlib
import io
import json
import os
import sys
import tarfile

TYPES = {"file": tarfile.REGTYPE, "exec": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE,
         "hard": tarfile.LNKTYPE, "char": tarfile.CHRTYPE, "fifo": tarfile.FIFOTYPE}


def make_tar(path, entries):
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            kind, name, rest = (entry + "::").split(":")[:3]
            data = open(rest, "rb").read() if kind == "exec" else rest.encode() if kind == "file" else b""
            info = tarfile.TarInfo()
            info.name, info.type, info.size = name, TYPES[kind], len(data)
            info.mode = 0o4755 if kind in ("exec", "dir") else 0o644
            info.linkname = rest if kind in ("link", "hard") else ""
            archive.addfile(info, io.BytesIO(data))


def blob(top, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(top, "blobs/sha256", digest), "wb") as file:
        file.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def make_oci(top, config, layers):
    os.makedirs(os.path.join(top, "blobs/sha256"))
    kind = "application/vnd.oci.image."
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    settings = {"architecture": machine, "os": "linux", "config": json.loads(config)}
    manifest = {
        "schemaVersion": 2,
        "config": dict(blob(top, json.dumps(settings).encode()), mediaType=kind + "config.v1+json"),
        "layers": [dict(blob(top, open(layer, "rb").read()), mediaType=kind + "layer.v1.tar") for layer in layers],
    }
    entry = dict(blob(top, json.dumps(manifest).encode()), mediaType=kind + "manifest.v1+json")
    other = dict(entry, digest="sha256:" + "0" * 64, platform={"os": "linux", "architecture": "riscv64"})
    with open(os.path.join(top, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [other, entry]}, file)
    with open(os.path.join(top, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)


if sys.argv[1] == "tar":
    make_tar(sys.argv[2], sys.argv[3:])
else:
    make_oci(sys.argv[2], sys.argv[3], sys.argv[4:])
