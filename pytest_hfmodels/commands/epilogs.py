"""What stands below the arguments in the help of each command: examples and exit codes. For `cli` and the docs."""

from __future__ import annotations

from dataclasses import dataclass

CANNOT = "the command failed; its last line says why"


@dataclass(frozen=True)
class Epilog:
    """The end of a command's help.

    Args:
        examples: what to type, and what it does.
        codes: each exit code, and what it means.
    """

    examples: dict[str, str]
    codes: dict[int, str]

    def __str__(self) -> str:
        width = max(map(len, self.examples))
        lines = [f"  {typed:{width}}   {what}" for typed, what in self.examples.items()]
        codes = [f"  {code:<3} {what}" for code, what in {**self.codes, 2: CANNOT, 130: "interrupted"}.items()]
        return "\n".join(["examples:", *lines, "", "exit codes:", *codes])


_CHOSEN = {"tests/test_bot.py": "only changes of these tests", "--cause tokenizer": "only changes with this cause"}


_OF_A_GRID = {0: "every cell is the same, skipped or explained by the ledger", 1: "at least one cell is not"}


def _of_changes(command: str, whole: str, codes: dict[int, str]) -> Epilog:
    chosen = {f"hfmodels {command} {arguments}": what for arguments, what in _CHOSEN.items()}
    return Epilog({f"hfmodels {command}": whole, **chosen}, codes)


EPILOGS = {
    "init": Epilog(
        {
            "hfmodels init ./models/bot": "write test_bot.py",
            "hfmodels init ./models/bot tests/test_support.py": "write tests/test_support.py",
            "hfmodels init --ci github": "write a CI workflow",
        },
        {0: "a file was written"},
    ),
    "review": Epilog(
        {
            "hfmodels review": "all changes",
            "hfmodels review tests/test_bot.py": "only changes of these tests",
            "hfmodels review --from report.html": "changes of a CI run",
        },
        {0: "nothing is left to decide", 1: "changes are left"},
    ),
    "pending": _of_changes("pending", "list all changes", {0: "nothing is pending", 1: "changes are pending"}),
    "diff": _of_changes("diff", "show all changes", {0: "nothing is pending", 1: "changes are pending"}),
    "accept": Epilog(
        {
            "hfmodels accept": "accept all changes",
            "hfmodels accept tests/test_bot.py": "only changes of these tests",
            "hfmodels accept --from report.html tests/test_bot.py": "with the outputs of a CI run",
            'hfmodels accept --keep-old-as before-5 --when "transformers<5"': "keep the old output for old releases",
        },
        {0: "changes were accepted", 1: "nothing was pending"},
    ),
    "reject": _of_changes("reject", "drop all changes", {0: "changes were dropped", 1: "nothing was pending"}),
    "report": Epilog(
        {
            "hfmodels report report.json": "print the summary of a run",
            "hfmodels report report.html --open": "open its page",
        },
        {0: "the report was shown"},
    ),
    "ledger": Epilog(
        {
            "hfmodels ledger": "entries for the installed versions",
        },
        {0: "printed, even if none applies"},
    ),
    "orphans": Epilog(
        {
            "hfmodels orphans": "list files that belong to no test",
            "hfmodels orphans --delete": "delete them",
        },
        {0: "there are none, or they were deleted", 1: "there are some"},
    ),
    "changes": Epilog(
        {
            "hfmodels changes transformers 4.49.0 5.23.0": "all that is known",
            "hfmodels changes transformers 4.49.0 5.23.0 --model ./models/bot": "for this model",
        },
        {0: "printed, even if nothing is known"},
    ),
    "matrix": Epilog(
        {
            "hfmodels matrix transformers==4.57.6,5.23.0 -- tests": "compare two releases",
            "hfmodels matrix current transformers==5.23.0 --html grid.html -- tests": "write a page",
            "hfmodels matrix current transformers==5.23.0 --plan github": "print the jobs for a CI",
        },
        _OF_A_GRID,
    ),
    "merge": Epilog({"hfmodels merge parts --html grid.html": "one grid from a folder of parts"}, _OF_A_GRID),
    "watch": Epilog(
        {
            "hfmodels watch": "run all tests again after each change",
            "hfmodels watch -- tests/test_bot.py": "only these tests",
        },
        {0: "you quit"},
    ),
    "bisect": Epilog(
        {
            "hfmodels bisect transformers --good 4.49.0 --bad 5.23.0 -- tests": "find the first bad release",
        },
        {0: "the first bad release was found", 1: "only a range was found, or another package changed version, too"},
    ),
}
