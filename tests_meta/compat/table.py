"""The plugins that `make compat` tries, and what docs/pytest.md says of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Other:
    """A plugin of pytest: its distribution, the modules to load, and the arguments that switch it on.

    `note` is what to know of it although it works. `shows` means that it shows results in the terminal in the place
    of pytest: two such plugins do not go together, also without pytest-synctool.
    """

    name: str
    modules: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    note: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    shows: bool = False


_TWICE = "has no effect on the tests of nodes, which run once"
_METADATA = "pytest_metadata.plugin"
OTHERS = (
    Other("allure-pytest", ("allure_pytest.plugin",), ("--alluredir=allure",)),
    Other("pytest-asyncio", ("pytest_asyncio.plugin",)),
    Other("pytest-azurepipelines", ("pytest_nunit.plugin", "pytest_azurepipelines"), ("--nunitxml=nunit.xml",)),
    Other("pytest-cov", ("pytest_cov.plugin",), ("--cov=none", "--cov-report=")),
    Other("pytest-csv", ("pytest_csv._plugin",), ("--csv=out.csv",)),
    Other("pytest-env", ("pytest_env.plugin",)),
    Other("pytest-excel", ("pytest_excel.pytest_excel",), ("--excelreport=out.xlsx",)),
    Other("pytest-forked", ("pytest_forked",), ("--forked",), "has no effect on the tests of nodes"),
    Other(
        "pytest-github-actions-annotate-failures",
        ("pytest_github_actions_annotate_failures.plugin",),
        environment=(("GITHUB_ACTIONS", "true"),),
    ),
    Other("pytest-harvest", ("pytest_harvest.plugin",), note="its fixtures do not have the tests of nodes"),
    Other("pytest-html", (_METADATA, "pytest_html.plugin", "pytest_html.fixtures"), ("--html=out.html",)),
    Other("pytest-instafail", ("pytest_instafail",), ("--instafail",)),
    Other("pytest-json-ctrf", ("ctrf.main",), ("--ctrf=ctrf.json",)),
    Other(
        "pytest-json-report",
        (_METADATA, "pytest_jsonreport.plugin"),
        ("--json-report", "--json-report-file=out.json"),
        "`collected` counts an unreachable node as one more",
    ),
    Other(
        "pytest-md-report",
        ("pytest_md_report.plugin",),
        ("--md-report", "--md-report-output=out.md", "--md-report-color=never"),
    ),
    Other("pytest-metadata", (_METADATA,)),
    Other("pytest-mock", ("pytest_mock",)),
    Other("pytest-monitor", ("pytest_monitor.pytest_monitor",), note="does not measure the tests of nodes"),
    Other("pytest-nunit", ("pytest_nunit.plugin",), ("--nunitxml=nunit.xml",)),
    Other("pytest-order", ("pytest_order.plugin",)),
    Other("pytest-pretty", ("pytest_pretty",), shows=True),
    Other("pytest-progress", ("pytest_progress",), ("--show-progress",)),
    Other("pytest-quarantine", ("pytest_quarantine.plugin",)),
    Other("pytest-randomly", ("pytest_randomly",), note="the tests of a node stay together"),
    Other("pytest-repeat", ("pytest_repeat",), ("--count=2",), _TWICE),
    Other("pytest-reportlog", ("pytest_reportlog.plugin",), ("--report-log=out.jsonl",)),
    Other("pytest-rerunfailures", ("pytest_rerunfailures",), ("--reruns=2",), _TWICE),
    Other("pytest-retry", ("pytest_retry.retry_plugin",), ("--retries=2",), _TWICE),
    Other("pytest-rich", ("pytest_rich.plugin",), ("--rich",), shows=True),
    Other("pytest-spec", ("pytest_spec.plugin",), ("--spec",), shows=True),
    Other("pytest-split", ("pytest_split.plugin",), ("--splits=1", "--group=1")),
    Other("pytest-subtests", ("pytest_subtests.plugin",)),
    Other("pytest-sugar", ("pytest_sugar",), ("--force-sugar",), "with `-n` its bar counts nodes", shows=True),
    Other(
        "pytest-timeout",
        ("pytest_timeout",),
        ("--timeout=1",),
        "its limits are not for the work on nodes: `--node-timeout` is",
    ),
    Other("teamcity-messages", ("teamcity.pytest_plugin",), ("--teamcity",), shows=True),
)
# These do not start with the pytest that is tried.
BROKEN = (Other("pytest-tap", ("pytest_tap.plugin",)),)
