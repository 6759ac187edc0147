"""The JSON of the CivitAI fake (hubs.md 4.2)."""

FORMATS = {"SafeTensor": "safetensors", "PickleTensor": "ckpt", "GGUF": "gguf", "Diffusers": "zip", "ONNX": "onnx"}


def file_json(version, file, base):
    """A primary file has the bare URL, others name what they are."""
    url = f"{base}/api/download/models/{version.id}"
    if not file.primary:
        words = {"type": file.kind, "format": file.format,
                 **{name: value for name, value in file.metadata.items() if name in ("size", "fp", "quantType")}}
        url += "?" + "&".join(f"{name}={value}" for name, value in words.items())
    value = {"id": file.id, "sizeKB": file.size_kb, "name": file.name, "type": file.kind,
             "pickleScanResult": file.scan, "pickleScanMessage": None, "virusScanResult": file.scan,
             "virusScanMessage": None, "scannedAt": None if file.scan == "Pending" else "2026-05-04T10:12:00.000Z",
             "metadata": {"format": file.format, **file.metadata}, "hashes": dict(file.hashes), "downloadUrl": url}
    return value | ({"primary": True} if file.primary else {})


def version_json(version, base, within_model=False):
    """`within_model`: as an element of a model's `modelVersions`, without the model."""
    model = version.model
    archived = model.mode == "Archived"
    value = {"id": version.id, "modelId": model.id, "name": version.name, "baseModel": version.base_model,
             "baseModelType": "Standard", "air": version.air, "status": version.status, "createdAt": version.updated,
             "updatedAt": version.updated, "publishedAt": version.updated, "usageControl": "Download",
             "availability": "EarlyAccess" if version.early_access else "Public",
             "earlyAccessEndsAt": version.early_access, "earlyAccessDeadline": version.early_access,
             "trainedWords": version.trained_words, "description": None, "stats": {"downloadCount": 7},
             "files": [] if archived else [file_json(version, file, base) for file in version.files], "images": [],
             "downloadUrl": f"{base}/api/download/models/{version.id}"}
    if within_model:
        del value["modelId"]
        return value
    return value | {"model": {"name": model.name, "type": model.type, "nsfw": model.nsfw, "poi": False,
                              **({"mode": model.mode} if model.mode else {})}}


def model_json(model, base):
    value = {"id": model.id, "name": model.name, "description": "<p>A model</p>", "type": model.type,
             "nsfw": model.nsfw, "poi": False, "tags": ["base model"], "creator": {"username": model.creator},
             "allowNoCredit": True, "allowCommercialUse": ["Image"], "stats": {"downloadCount": 7},
             "modelVersions": [version_json(version, base, within_model=True) for version in model.versions]}
    return value | ({"mode": model.mode} if model.mode else {})
