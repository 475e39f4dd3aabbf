#!/usr/bin/python3
"""Writes the bill of materials of a build (CycloneDX 1.5, JSON) from the same rows as `mooring version --deps`."""
import argparse
import datetime
import json
import os
import sys
import uuid


def component(row):
    name, version, purl = row
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": "required"}


def bill(version, arch, rows):
    components = sorted((component(row) for row in rows), key=lambda each: each["name"])
    itself = {"type": "application", "bom-ref": f"mooring@{version}", "name": "mooring", "version": version,
              "properties": [{"name": "mooring:architecture", "value": arch}]}
    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    # The number says what is described, so that the same programs get the same file.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, " ".join([version, arch, *(purl for _, _, purl in sorted(rows))]))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.5",
            "serialNumber": f"urn:uuid:{serial}", "version": 1,
            "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": itself},
            "components": components,
            "dependencies": [{"ref": itself["bom-ref"], "dependsOn": [each["bom-ref"] for each in components]},
                             *({"ref": each["bom-ref"], "dependsOn": []} for each in components)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", required=True, help="of the package")
    parser.add_argument("--arch", required=True)
    options = parser.parse_args()
    rows = [tuple(line.split()[:3]) for line in sys.stdin]
    if not rows or any(len(row) != 3 or not row[2].startswith("pkg:") for row in rows):
        parser.error("stdin wants lines of NAME VERSION PURL")
    print(json.dumps(bill(options.version, options.arch, rows), indent=2))


if __name__ == "__main__":
    main()
