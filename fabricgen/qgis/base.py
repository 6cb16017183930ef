"""What the algorithms share: a run of fabricgen inside Processing, followed and stoppable."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterString,
)
from qgis.PyQt.QtGui import QIcon

from . import follow, sources
from .command import TextError, more_settings

EXECUTABLE = "FABRICGEN_EXECUTABLE"  # key of the setting
SETTINGS = "SETTINGS"
REGION = "REGION"
OUTPUT = "OUTPUT"


class FabricgenAlgorithm(QgsProcessingAlgorithm):
    """What stands in the toolbox; subclasses say its name and its fields."""

    NAME = ""
    TITLE = ""
    HELP = ""

    def layers_file(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> Path | None:
        """Layers of a field as one file, None where none is chosen; for the main thread only."""
        layers = self.parameterAsLayerList(parameters, name, context)
        path = sources.temporary("layers.gpkg")
        return sources.write_all(layers, path, context=context) if layers else None

    def name(self) -> str:
        """Second part of its name, as in `fabricgen:generate`."""
        return self.NAME

    def displayName(self) -> str:  # noqa: N802 (QGIS asks for these names)
        """As the toolbox shows it."""
        return self.TITLE

    def shortHelpString(self) -> str:  # noqa: N802
        """Beside its fields."""
        return self.HELP

    def icon(self) -> QIcon:
        """That of the provider."""
        return QIcon(str(Path(__file__).with_name("icon.svg")))

    def createInstance(self) -> FabricgenAlgorithm:  # noqa: N802
        """A fresh one for each run."""
        return type(self)()

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Adds a field that stays folded until it is asked for."""
        flags = parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced
        parameter.setFlags(flags)
        self.addParameter(parameter)

    def add_region(self) -> None:
        """Adds the field of the carbon region."""
        what = "Carbon region (auto: by place)"
        self.add_advanced(QgsProcessingParameterString(REGION, what, defaultValue="auto"))

    def add_settings(self) -> None:
        """Adds the field of all other settings."""
        what = "Further settings, key=value, one on each line"
        field = QgsProcessingParameterString(SETTINGS, what, multiLine=True, optional=True)
        self.add_advanced(field)

    def settings(self, parameters: Mapping[str, Any], context: QgsProcessingContext) -> list[str]:
        """Words of the field of settings.

        Raises:
            TextError: A line is no setting.
        """
        return more_settings(self.parameterAsString(parameters, SETTINGS, context))

    def run_fabricgen(
        self,
        words: Sequence[str],
        feedback: QgsProcessingFeedback,
        *,
        out: Path | None = None,
        more: Mapping[str, str] | None = None,
        may_lack: bool = False,
    ) -> dict[str, Any] | None:
        """Runs fabricgen to its end; None where the user stopped it.

        Args:
            words: Of its command line.
            feedback: Hears progress and notes, and says when to stop.
            out: The folder that the run makes, as in `follow`.
            more: Further variables of its environment.
            may_lack: As in `follow`.

        Raises:
            QgsProcessingException: It is not there, or ended with an error.
        """
        try:
            path = follow.find(ProcessingConfig.getSetting(EXECUTABLE) or "")
            feedback.pushCommandInfo(" ".join([path, *words]))
            return follow.follow(
                [path, *words], hearing(feedback), out=out, more=more, may_lack=may_lack
            )
        except follow.Stopped:
            feedback.pushInfo("Stopped; earlier results are untouched.")
            return None
        except follow.RunError as err:
            raise QgsProcessingException(str(err)) from err


class FabricgenVerb(FabricgenAlgorithm):
    """A verb that writes results; subclasses say its words and what it hands back."""

    MAKES_FOLDER = True  # the folder of results is its own, and what a killed run leaves of it goes

    @abstractmethod
    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, out: Path
    ) -> list[str]:
        """The words of fabricgen's command line.

        Raises:
            QgsProcessingException: A field cannot be used.
        """

    @abstractmethod
    def results(
        self,
        document: dict[str, Any],
        out: Path,
        *,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """What a run hands back, from what fabricgen answered and wrote."""

    def environment(self) -> dict[str, str]:
        """Further variables of the run's environment."""
        return {}

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether fabricgen can read the fields, and what is wrong if not."""
        return readable(lambda: self.settings(parameters, context))

    def checkParameterValues(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Holds the fields to their kinds, then to what fabricgen can read."""
        good, why = super().checkParameterValues(parameters, context)
        return self.check(parameters, context) if good else (good, why)

    def processAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Runs fabricgen; nothing is handed back where the user stopped it."""
        out = Path(self.parameterAsString(parameters, OUTPUT, context))
        document = self.run_fabricgen(
            self.words(parameters, context, out),
            feedback,
            out=out if self.MAKES_FOLDER else None,
            more=self.environment(),
        )
        if document is None:
            return {}
        return self.results(
            document, out, parameters=parameters, context=context, feedback=feedback
        )


def hearing(feedback: QgsProcessingFeedback) -> follow.Hearing:
    """A listener that passes everything on to Processing."""

    def on_step(done: int, total: int | None, note: str) -> None:
        if total:
            feedback.setProgress(100.0 * done / total)
        feedback.setProgressText(note)

    def on_line(text: str) -> None:
        if text.startswith("note: "):
            feedback.pushWarning(text[len("note: ") :])
        else:
            feedback.pushInfo(text)

    return follow.Hearing(on_step=on_step, on_line=on_line, stopped=feedback.isCanceled)


def readable(check: Callable[[], Any]) -> tuple[bool, str]:
    """Whether texts of fields can be read, and what is wrong with them if not."""
    try:
        check()
    except TextError as err:
        return False, str(err)
    return True, ""
