"""The masks of :class:`retkd.students.pruning.Prune` on attention and feed-forward parts, heads and hidden dimensions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retkd.encoders.encoder import Encoder
from retkd.students.blocks import Block, Surroundings, blocks, costs, surroundings, taken_out
from retkd.students.hard_concrete import kept_probability
from retkd.students.joint_masks import Cut, Joint, cut, joint_size
from retkd.students.masking import Masking, require_any_layer_can_go, require_something_left

if TYPE_CHECKING:
    from retkd.students.pruning import Prune


class FinerMasks(Masking):
    """Hooks on the modules: each part's output is ``mask * output + (1 - mask) * input``, heads and intermediate dimensions
    are scaled before they are read, hidden dimensions wherever they are written.

    As in CoFi, a LayerNorm runs over the hidden dimensions whose mask is not 0, as in the model that comes out.
    """

    def __init__(self, part: "Prune", encoder: Encoder, base: str) -> None:
        transformer = encoder.model[0].auto_model
        found, sizes = blocks(transformer, base), costs(transformer, base)
        outside = surroundings(transformer, base) if part.width else None
        require_any_layer_can_go(transformer, base)
        count, inner = len(found), found[0].feed_forward.out.in_features
        heads, dim = int(transformer.config.num_attention_heads), int(transformer.config.hidden_size)
        least = (1, sizes.head) if part.width else (heads, dim)
        require_something_left(
            part.sparsity,
            sizes.of(1, least[0], 1, least[1]),
            sizes.of(count, heads, inner, dim),
            f"one layer with {'one head' if part.width else 'all heads'} and one intermediate dimension",
            base,
        )
        parts = ("attention", "feed_forward") if part.sublayers else ("layers",)
        shapes: dict[str, tuple[int, ...]] = {**dict.fromkeys(parts, (count,)), "inner": (count, inner)}
        if part.width:
            shapes |= {"heads": (count, heads), "hidden": (dim,)}
        super().__init__(part, encoder, base, shapes)
        self.costs, self.full = sizes, ((count, heads), (dim,))
        self.inputs: dict[tuple[str, int], Tensor] = {}
        for place, block in enumerate(found):
            self._hook_parts(place, block)
        if outside is not None:
            self._hook_width(found, outside)

    def joint(self, told: dict[str, Tensor]) -> Joint:
        """Masks, logits or probabilities by name as those of all extents; those that are not asked for are ones."""
        ones = [torch.ones(shape, device=told["inner"].device) for shape in self.full]
        attention, feed_forward = (told.get(name, told.get("layers")) for name in ("attention", "feed_forward"))
        assert attention is not None
        assert feed_forward is not None
        return Joint(attention, feed_forward, told.get("heads", ones[0]), told["inner"], told.get("hidden", ones[1]))

    @property
    def expected_sparsity(self) -> Tensor:
        """The expected share of the layers' parameters that goes."""
        kept = self.joint({name: kept_probability(each) for name, each in self.logits.each().items()})
        whole = joint_size(Joint(*(torch.ones_like(each) for each in kept)), self.costs)
        return 1 - joint_size(kept, self.costs) / whole

    @property
    def settled(self) -> Cut:
        """What would be left now."""
        logits = self.joint({name: each.detach() for name, each in self.logits.each().items()})
        return cut(logits, self.costs, self.part.sparsity, self.part.width, self.part.sublayers)

    def zeros_and_ones(self) -> dict[str, Tensor]:
        """The masks as they would be left now."""
        masks, kept = {name: torch.zeros_like(each) for name, each in self.logits.each().items()}, self.settled
        for first, second in kept.layers:
            masks["attention" if self.part.sublayers else "layers"][first] = 1.0
            masks["feed_forward" if self.part.sublayers else "layers"][second] = 1.0
            masks["inner"][second, kept.inner[second]] = 1.0
            if self.part.width:
                masks["heads"][first, kept.heads[first]] = 1.0
        if self.part.width:
            masks["hidden"][kept.hidden] = 1.0
        return masks

    def alive(self, masks: dict[str, Tensor]) -> list[int]:
        """The layers of which something is left; all where nothing is, for then each hands on what it was given."""
        told = self.joint(masks)
        left = ((told.attention > 0) | (told.feed_forward > 0)).nonzero().flatten().tolist()
        return left or list(range(len(told.attention)))

    def finish(self, encoder: Encoder, out: Path) -> None:
        """A smaller plain transformer in the place of the masked one, and a pooling of its width."""
        from sentence_transformers.sentence_transformer.modules import Pooling

        self.unhook()
        transformer: Any = encoder.model[0]
        transformer.model = taken_out(transformer.model, self.settled, self.base)
        pooling: Any = encoder.model[1]
        dim = transformer.get_embedding_dimension()
        encoder.model[1] = Pooling(dim, pooling_mode=pooling.pooling_mode, include_prompt=pooling.include_prompt)

    def _hook_parts(self, place: int, block: Block) -> None:
        attention, feed_forward = ("attention", "feed_forward") if self.part.sublayers else ("layers", "layers")
        head = self.costs.head

        def remember(module: nn.Module, args: Any, kwargs: Any) -> None:
            self.inputs["attention", place] = args[0] if args else kwargs["hidden_states"]

        def mask_heads(module: nn.Module, args: Any) -> Any:
            mask = self.now(module, "heads", args[0])[place]
            return (args[0] * mask.repeat_interleave(head), *args[1:])

        def mask_inner(module: nn.Module, args: Any) -> Any:
            return (args[0] * self.now(module, "inner", args[0])[place], *args[1:])

        def after_attention(module: Any, args: Any, output: Tensor) -> Tensor:
            normed = self._normed(module, args[0], output)
            mask = self.now(module, attention, normed)[place]
            masked = mask * normed + (1 - mask) * self.inputs.pop(("attention", place))
            self.inputs["feed_forward", place] = masked
            return masked

        def after_feed_forward(module: Any, args: Any, output: Tensor) -> Tensor:
            normed = self._normed(module, args[0], output)
            mask = self.now(module, feed_forward, normed)[place]
            masked = mask * normed + (1 - mask) * self.inputs.pop(("feed_forward", place))
            if self.teacher is not None and module.training:
                self.teacher.see(place, masked)
            return masked

        self.hooks += [
            block.layer.register_forward_pre_hook(remember, with_kwargs=True),
            block.feed_forward.out.register_forward_pre_hook(mask_inner),
            block.attention_norm.register_forward_hook(after_attention),
            block.norm.register_forward_hook(after_feed_forward),
        ]
        if self.part.width:
            self.hooks.append(block.out.register_forward_pre_hook(mask_heads))

    def _hook_width(self, found: list[Block], outside: Surroundings) -> None:
        def written(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            return output * self.now(module, "hidden", output)

        def normed(module: Any, args: Any, output: Tensor) -> Tensor:
            return self._normed(module, args[0], output)

        outs = [out for block in found for out in (block.out, block.feed_forward.out)]
        self.hooks += [writer.register_forward_hook(written) for writer in (*outside.embeddings, *outs)]
        self.hooks += [norm.register_forward_hook(normed) for norm in outside.norms]

    def _normed(self, module: Any, state: Tensor, output: Tensor) -> Tensor:
        """A norm's output as it is over the hidden dimensions that are left, scaled by their masks; elsewhere 0."""
        if not self.part.width:
            return output
        mask = self.now(module, "hidden", output)
        index = mask.nonzero().flatten()
        if 0 < len(index) < len(mask):
            weight, bias = module.weight[index], module.bias[index]
            left = nn.functional.layer_norm(state[..., index], (len(index),), weight, bias, module.eps)
            output = torch.zeros_like(output).index_copy(-1, index, left.to(output.dtype))
        return output * mask
