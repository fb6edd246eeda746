"""The table of optimizer groups in `detkit config`."""

from tiny_run import TINY

from detkit.cli.main import main


def test_groups_have_owner_number_rate_and_decay(capsys):
    words = ["optimizer.layer_decay=0.5", "freeze=[stem,stage1]", "num_classes=2"]
    assert main(["config", *TINY, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    heading, *rows, frozen = lines[lines.index("optimizer groups of sgd") + 1 :]
    assert " ".join(heading.split()) == "parameters of number learning rate weight decay"
    assert [row.split()[0:2] + row.split()[-2:] for row in rows[::2]] == [
        ["neck,", "head", "0.01", "0.0001"],
        ["backbone", "stage2,", "0.00125", "0.0001"],
        ["backbone", "stage3,", "0.0025", "0.0001"],
        ["backbone", "stage4,", "0.005", "0.0001"],
    ]
    assert frozen.strip().startswith("freeze: stem and stage1: ")
