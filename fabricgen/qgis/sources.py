"""Layers of QGIS as files that fabricgen reads: as they are shown, with filters and edits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qgis.core import (
    QgsFeature,
    QgsFeatureSource,
    QgsFields,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingUtils,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

OWN = "fid"  # column that a GeoPackage gives every layer


def temporary(name: str) -> Path:
    """A path for a file that QGIS takes away when it ends."""
    return Path(QgsProcessingUtils.generateTempFilename(name))


def write(
    source: QgsFeatureSource, path: Path, layer: str, *, context: QgsProcessingContext
) -> None:
    """Writes features as a layer of a GeoPackage, beside those that it holds.

    Curves become straight pieces; the column `fid` is left to the GeoPackage.

    Raises:
        QgsProcessingException: They cannot be written.
    """
    columns = [field for field in source.fields() if field.name().lower() != OWN]
    fields = QgsFields()
    for field in columns:
        fields.append(field)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = layer
    if path.exists():
        options.actionOnExistingFile = QgsVectorFileWriter.CreateOrOverwriteLayer
    kind = QgsWkbTypes.linearType(source.wkbType())
    writer = QgsVectorFileWriter.create(
        str(path), fields, kind, source.sourceCrs(), context.transformContext(), options
    )
    for feature in source.getFeatures():
        copy = QgsFeature(fields)
        copy.setAttributes([feature[field.name()] for field in columns])
        copy.setGeometry(_straight(feature.geometry()))
        if not writer.addFeature(copy):
            break
    wrong = writer.errorMessage() if writer.hasError() else ""
    del writer  # closes the file
    if wrong:
        raise QgsProcessingException(f"{layer}: cannot be written for fabricgen ({wrong})")


def write_all(
    layers: Sequence[QgsVectorLayer], path: Path, *, context: QgsProcessingContext
) -> Path:
    """Writes layers into one GeoPackage under their own names; hands back its path.

    Raises:
        QgsProcessingException: Two have the same name, or one cannot be written.
    """
    names = [name_of(layer) for layer in layers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise QgsProcessingException(f"two layers are called {twice}; choose one of each name")
    for name, layer in zip(names, layers):
        write(layer, path, name, context=context)
    return path


def name_of(layer: QgsVectorLayer) -> str:
    """What a layer is called, without the name of its file that QGIS puts before it."""
    return layer.name().rpartition(" — ")[2].strip()


def _straight(geometry: QgsGeometry) -> QgsGeometry:
    if geometry.isNull() or not QgsWkbTypes.isCurvedType(geometry.wkbType()):
        return geometry
    return QgsGeometry(geometry.constGet().segmentize())
