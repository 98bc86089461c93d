"""The only file that knows ``transformers.Trainer``: a thin subclass, its arguments, its checkpoints, its trace."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

from retkd import processes
from retkd.errors import DataError, RecipeError, RetkdError
from retkd.progress import track
from retkd.shards import atomic
from retkd.training.checkpoints import COMPLETE, STOPPED, last_whole_checkpoint, once
from retkd.training.interruption import Interruption, interruption
from retkd.training.optimisation import Optimisation
from retkd.training.query_order import QueryOrder
from retkd.training.trace import trace_row


class Examples(Dataset):  # type: ignore[type-arg]
    """``steps x batch`` examples in the order of :class:`retkd.training.query_order.QueryOrder`."""

    def __init__(
        self,
        examples: Sequence[Any],
        num_rows: int,
        seed: int,
        topics: np.ndarray | None = None,
        batch_queries: int = 1,
    ) -> None:
        self.examples = examples
        self.num_rows = num_rows
        self.order = QueryOrder(len(examples), num_rows, seed, topics, batch_queries)

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, row: int) -> Any:
        return self.examples[self.order[row]]


class DistillationTrainer(Trainer):
    """Reads ``{"batch": Batch}``; the model gives the loss and its terms; ``dev`` gives measures of the model."""

    def __init__(self, *args: Any, dev: Callable[[], dict[str, float]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dev = dev
        self.terms: dict[str, float] = {}

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def get_train_dataloader(self) -> DataLoader:  # type: ignore[type-arg]
        """As ever; of several processes each goes through the whole batches, of which retkd.training.passes encodes a part."""
        if processes.count() == 1:
            return super().get_train_dataloader()
        return DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=self.args.per_device_train_batch_size,
            sampler=self._get_train_sampler(),
            collate_fn=self.data_collator,
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As ever; a module with a ``learning_rate`` of its own is trained at that, without weight decay."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(model)
        for module in self.model.modules() if fresh and self.model is not None else ():
            if isinstance(rate := getattr(module, "learning_rate", None), float):
                own = list(module.parameters())
                for group in optimizer.param_groups:
                    group["params"] = [p for p in group["params"] if not any(p is each for each in own)]
                optimizer.add_param_group({"params": own, "lr": rate, "weight_decay": 0.0})
        return optimizer

    def compute_loss(  # type: ignore[override]
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """The model's loss. Raises :class:`RetkdError` when it is not finite, before it spoils the weights."""
        progress = self.state.global_step / max(self.args.max_steps, 1)
        terms = model(inputs["batch"].to(self.args.device), progress)
        loss = terms["loss"]
        if not torch.isfinite(loss):
            raise RetkdError(
                "the training loss is not finite",
                where=f"step {self.state.global_step + 1}",
                seen={name: float(value.detach()) for name, value in terms.items()},
                next_step="lower the learning rate, or look at the teacher scores in the audit",
            )
        self.terms = {name: float(value) for name, value in terms.items() if name != "loss"}
        return (loss, terms) if return_outputs else loss

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As ever; weights that two modules share, such as a tied head, are written once, as safetensors asks for."""
        assert self.model is not None
        super()._save(output_dir, once(self.model.state_dict() if state_dict is None else state_dict))

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Nothing may be missing but the second names of shared weights, which were loaded under their first."""
        assert self.model is not None
        state = self.model.state_dict()
        missing = set(load_result.missing_keys) - (state.keys() - once(state).keys())
        if missing or load_result.unexpected_keys:
            raise RetkdError(
                "the checkpoint holds other weights than the student",
                where=self.args.output_dir,
                seen=f"missing: {sorted(missing)}; unexpected: {load_result.unexpected_keys}",
                next_step="remove the stage's folder, and train anew",
            )

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As ever, with the value of each term beside the loss."""
        super().log({**logs, **self.terms} if "loss" in logs else logs, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measures on dev, by the callable that was given, in the first process."""
        measures = processes.from_first(self._measures)
        self.log(measures)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, measures)
        if self.args.load_best_model_at_end and self._is_best(measures):
            self.control.should_save = True
        return measures

    def _measures(self) -> dict[str, float]:
        assert self.dev is not None
        assert self.model is not None
        self.model.eval()
        with torch.inference_mode():
            return {f"eval_{name}": value for name, value in self.dev().items()}

    def _is_best(self, measures: dict[str, float]) -> bool:
        """Whether this look is the best so far: the best weights can be published only if they are saved here."""
        best = self.state.best_metric
        return best is None or measures[f"eval_{self.args.metric_for_best_model}"] > best


class _Steps(TrainerCallback):
    """Marks a checkpoint as whole once it is, and as the last where the training stops; tells the progress. Where somebody
    interrupts, the step at hand is saved."""

    def __init__(self, step: Callable[[int], None], interrupted: Interruption) -> None:
        self.step = step
        self.interrupted = interrupted

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.step(1)
        if self.interrupted.asked:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        processes.wait()
        if processes.is_first():
            with atomic(Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE) as temporary:
                temporary.write_text(STOPPED if control.should_training_stop else "")
        if self.interrupted.asked:
            self.interrupted.stop(state.global_step, state.max_steps)


def train(
    model: nn.Module,
    examples: Sequence[Any],
    collate: Callable[[Sequence[Any]], Any],
    optimisation: Optimisation,
    *,
    batch_queries: int,
    seed: int,
    work: Path,
    device: str,
    label: str,
    dev: Callable[[], dict[str, float]] | None = None,
    primary: str = "nDCG@10",
    optimizer: torch.optim.Optimizer | None = None,
    topics: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Train ``model`` in place; the trace, one row per step and per look at dev.

    With ``topics``, a number per example, every batch is of one topic.

    Goes on from the last whole checkpoint in ``work`` to the same trace and weights as a run that was never stopped.
    ``batch_queries`` does not depend on the number of processes. All of them call this; the first one writes.
    """
    if optimisation.steps == 0:
        return []
    _require_queries(batch_queries, label)
    if dev is None:
        _require_no_dev(optimisation, label)
    checkpoint = processes.from_first(lambda: last_whole_checkpoint(work))
    done = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    stopped = checkpoint is not None and (checkpoint / COMPLETE).read_text() == STOPPED
    steps = done if stopped else optimisation.steps
    watching = dev is not None and optimisation.evaluate_every is not None
    trainer = DistillationTrainer(
        model=model,
        args=_arguments(optimisation, steps, batch_queries, seed, work, device, primary, watching),
        train_dataset=Examples(
            examples, steps * optimisation.accumulation * batch_queries, seed, topics, batch_queries
        ),
        data_collator=collate,
        eval_dataset=() if watching else None,
        dev=dev,
        optimizers=(optimizer, None),
        callbacks=[EarlyStoppingCallback(optimisation.patience)] if watching and optimisation.patience else None,
    )
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    with track(label, total=optimisation.steps, done=done) as step, interruption() as interrupted:
        trainer.add_callback(_Steps(step, interrupted))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return [row for entry in trainer.state.log_history if (row := trace_row(entry)) is not None]


def _require_queries(batch_queries: int, label: str) -> None:
    if batch_queries < processes.count():
        raise RecipeError(
            "a batch has fewer queries than this run has processes, so that some would have nothing to do",
            where=f"{label}, key batch_queries",
            seen=f"{batch_queries} queries, {processes.count()} processes",
            allowed=f"{processes.count()} or more; a batch is divided among the processes, whatever their number",
            next_step="raise batch_queries, or start fewer processes",
        )


def _require_no_dev(optimisation: Optimisation, label: str) -> None:
    if optimisation.keep == "best" or optimisation.patience is not None:
        raise DataError(
            "`keep: best` and `patience` go by the dev split, and the candidates have none",
            where=label,
            allowed="candidates with a split named dev",
            next_step="mine the dev split too, or set keep: last and patience: null",
        )


def _arguments(
    optimisation: Optimisation,
    steps: int,
    batch_queries: int,
    seed: int,
    work: Path,
    device: str,
    primary: str,
    watching: bool,
) -> TrainingArguments:
    best = watching and optimisation.keep == "best"
    ranked = best or (watching and optimisation.patience is not None)
    save_every = optimisation.save_every
    if best and optimisation.evaluate_every:
        save_every = optimisation.evaluate_every * max(1, round(save_every / optimisation.evaluate_every))
    precision = resolved_precision(optimisation.precision, device)
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=batch_queries,
        gradient_accumulation_steps=optimisation.accumulation,
        learning_rate=optimisation.learning_rate,
        warmup_steps=optimisation.warmup_steps,
        lr_scheduler_type=optimisation.schedule,
        weight_decay=optimisation.weight_decay,
        max_grad_norm=optimisation.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        seed=seed,
        use_cpu=device == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="steps",
        save_steps=save_every,
        save_total_limit=2,
        eval_strategy="steps" if watching else "no",
        eval_steps=optimisation.evaluate_every,
        load_best_model_at_end=best,
        metric_for_best_model=primary if ranked else None,
        greater_is_better=True if ranked else None,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)
    """One process trains on one device: torch's DataParallel would multiply batch_queries by the devices that are here."""
    return arguments


def resolved_precision(asked: str, device: str) -> str:
    """``auto`` is bf16 on a CUDA device that has it in hardware, else fp32."""
    if asked != "auto":
        return asked
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"
