"""retkd's command line under a launcher; its process number 1 kills itself after step 7 of a stage of kind train."""

import os
import signal
from typing import Any

from retkd import cli
from retkd.training import trainer

STEP = 7
told = trainer._Steps.on_step_end


def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
    told(self, args, state, control, **kwargs)
    if state.global_step == STEP and "/train-" in args.output_dir and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    trainer._Steps.on_step_end = on_step_end  # type: ignore[method-assign]
    cli.main()
