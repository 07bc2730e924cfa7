"""Outputs as a command writes them."""

from cell_synergy.core.outputs import OutputPath, folder_output, guarded_outputs, table_output

BESIDE = ("-scores", ".safetensors")
NAMES = ["sis-scores.csv", "sis.csv", "sis.safetensors"]


def write_table(out, text="1\n", command="judge", inputs=()):
    place = table_output("out", str(out), out, BESIDE)
    with guarded_outputs(command, [place], dict(inputs)) as new:
        for path in OutputPath("out", new["out"], BESIDE).files:
            path.write_text(text)
    return place.path


def write_folder(out, text="1\n", command="align"):
    with guarded_outputs(command, [folder_output("out", str(out), out)], {}) as new:
        (new["out"] / "train").mkdir(parents=True)
        (new["out"] / "train" / "a.tsv").write_text(text)
        (new["out"] / "b.safetensors").write_text(text)
        (new["out"] / "empty").mkdir()


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith(".written.json")
    }
