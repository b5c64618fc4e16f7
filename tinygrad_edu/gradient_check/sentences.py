"""The sentences of a report, in English and Chinese: each as a pair, under one key."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.gradient_check.search import Finding
from tinygrad_edu.gradient_check.search.findings import Language

SENTENCES: dict[str, tuple[str, str]] = {
    # the verdict
    "passed": ("gradient check passed: {total}{kinks}", "梯度检查通过：{total}{kinks}"),
    "failed": (
        "gradient check FAILED: {wrong} of {total} are wrong{only}, in {where}{kinks}",
        "梯度检查未通过：{total}中有 {wrong} 个错误{only}，出现在 {where}{kinks}",
    ),
    "not compared": ("gradient check FAILED: not compared: {where}", "梯度检查未通过：无法比较：{where}"),
    "and not compared": ("; not compared: {where}", "；无法比较：{where}"),
    "entries": ("{n} entries", "{n} 个元素"),
    "modes": (" in {n} modes", "（{n} 种模式）"),
    "only": (" in {mode} mode", "（仅 {mode} 模式）"),
    "kinks": (", {n} at a kink", "，其中 {n} 个位于不可导点"),
    "note": ("note", "提示"),
    "tried": ("tried", "已尝试"),
    "more": (
        "… and {n} more entries, none worse than those of their input",
        "……另有 {n} 个元素，误差都不大于同一输入中已列出的",
    ),
    "errors of": ("relative errors of {name}", "{name} 的相对误差"),
    "right": ("right", "正确"),
    "wrong": ("wrong", "错误"),
    "kink": ("kink: slopes {left} and {right}", "不可导点：左右斜率 {left} 与 {right}"),
    "2nd order": ("2nd order", "二阶"),
    "right here": ("right", "正确"),
    "wrong here": ("wrong here", "错在这里"),
    "inherited": ("wrong only by what it is given", "只因上游梯度有误而错"),
    "not found": ("not found", "未找到"),
    "off": (" (off by {off} of its largest entry)", "（相差其最大元素的 {off} 倍）"),
    # what was given in place of a gradient
    "none": ("no gradient is returned for it (None)", "没有返回它的梯度（None）"),
    "none: hint": (
        "return the gradient; a function without `return` gives None",
        "请返回梯度；没有 return 的函数得到 None",
    ),
    "missing": ("no gradient is returned for it; {what}", "没有返回它的梯度；{what}"),
    "missing: hint": ("return one gradient for each of {names}", "请为 {names} 各返回一个梯度"),
    "additional": (
        "{n} gradients are returned for {wanted} inputs ({names}); the rest was not looked at",
        "返回了 {n} 个梯度，而输入只有 {wanted} 个（{names}）；多余的部分未检查",
    ),
    "no number": ("its gradient is {what}, not an array of numbers", "它的梯度是 {what}，不是数值数组"),
    "shape": (
        "its gradient has shape {got}{how}; it should have shape {wanted}",
        "它的梯度形状为 {got}{how}；应为 {wanted}",
    ),
    "shape: twin": (", and is the gradient of {twin}: two are swapped", "，这是 {twin} 的梯度：两者写反了"),
    "shape: transposed": (", which is the shape of its transpose", "，正是其转置的形状"),
    "shape: right numbers": (
        " (the numbers are right: keepdims or a reshape is missing)",
        "（数值是对的：缺少 keepdims 或 reshape）",
    ),
    "shape: empty": (" (empty: a slice p:-p with p = 0 is)", "（为空：p = 0 时切片 p:-p 为空）"),
    "shape: larger": (" (larger: the padding was not cut off)", "（更大：没有裁掉填充）"),
    "shape: smaller": (" (smaller: more was cut off than padded)", "（更小：裁掉的比填充的多）"),
    "shape: summed too far": (
        " (its entries are summed up: sum over the examples' axis only)",
        "（各元素被加在一起：只应沿样本的轴求和）",
    ),
    "shape: summed": (" (its sum over the broadcast axes is right)", "（对广播的轴求和后即正确）"),
    "no variable": (
        "the forward code assigns no variable of this name; it has {known}",
        "前向代码中没有给这个名字的变量赋值；其中有 {known}",
    ),
    "not finite": (
        "its gradient has nan or infinity at {n} of {of} entries",
        "它的梯度在 {of} 个元素中有 {n} 个是 nan 或无穷",
    ),
    "loss and gradient": (
        "a tuple of 2 parts came, (loss, gradient), where the gradient was asked; the second part was taken",
        "返回的是元组 (loss, gradient)，而要求的只是梯度；这里取第二部分",
    ),
    "loss and gradient: hint": (
        "hand in the gradient alone, or use tg.check_loss, which takes both",
        "请只返回梯度，或使用接受二者的 tg.check_loss",
    ),
    "structure": ("a gradient came as {got}, where {wanted} was asked", "梯度以 {got} 的形式返回，而要求的是 {wanted}"),
    "keys": (
        "no gradient under the key {key}; the gradient has the keys {got}",
        "键 {key} 下没有梯度；返回的键为 {got}",
    ),
    # the function itself
    "random": (
        "the function gives two results for the same inputs ({a} and {b}): it draws random numbers or keeps a state, "
        "so that it has no gradient to compare with",
        "同样的输入得到两个不同的结果（{a} 与 {b}）：函数在抽取随机数或保留状态，没有可比较的梯度",
    ),
    "random: hint": (
        "draw the random mask once, outside, and hand it in as an argument; or seed inside the function: "
        "rng = np.random.default_rng(0), or np.random.seed(0) at its start",
        "在函数外只抽取一次随机掩码并作为参数传入；或在函数内固定种子：rng = np.random.default_rng(0)，"
        "或在开头写 np.random.seed(0)",
    ),
    "random gradient": (
        "{who} gives different gradients for the same inputs: it draws random numbers or keeps a state",
        "同样的输入得到不同的梯度：求梯度的代码在抽取随机数或保留状态",
    ),
    "random gradient: hint": (
        "draw random numbers once, in the forward pass, and keep them for the backward pass; start sums of gradients "
        "at 0 in each call",
        "只在前向传播中抽取一次随机数并留给反向传播；每次调用都从 0 开始累加梯度",
    ),
    "unknown keys": (
        "the gradient has parts under the keys {got}, which are no inputs; they were not looked at",
        "梯度中有键 {got}，它们不是输入；未作检查",
    ),
    "not finite result": ("the function gives {what} at these inputs", "函数在这些输入上得到 {what}"),
    "not finite nearby": (
        "entries of it can't be judged: the function isn't finite on either side of them, however small the step",
        "它有元素无法判断：无论步长多小，函数在其两侧都不是有限值",
    ),
    "jumps not judged": (
        "entries of it can't be judged: the function is constant in small steps and changes by jumps in larger ones "
        "(rounding, floor, a low precision inside?), which look like slopes",
        "它有元素无法判断：步长小时函数不变，步长大时则跳变（内部有取整或低精度？），看上去像斜率",
    ),
    "rounding hides it": (
        "it can't be judged: the function computes in few digits (float32 inside?), and its rounding is larger than "
        "what steps change",
        "无法判断：函数内部只有很少的有效位（float32？），其舍入误差大于步长带来的变化",
    ),
    "jumps": (
        "the function is constant near entries of {name} and changes by jumps farther off; 0 is their derivative",
        "函数在 {name} 的一些元素附近不变，在更远处跳变；其导数为 0",
    ),
    "changes dout": ("the backward pass changes the dout it is given", "反向传播改动了传入的 dout"),
    "changes cache": ("the backward pass changes what is cached", "反向传播改动了缓存"),
    "changes inputs": ("{who} changes its argument {name}", "{who}改动了它的参数 {name}"),
    "the forward pass": ("the forward pass", "前向传播"),
    "the gradient function": ("the gradient function", "梯度函数"),
    "the backward pass": ("the backward pass", "反向传播"),
    "judged first": ("; judged is what it returned first", "；以第一次返回的结果为准"),
    "passed through": ("{name} is not differentiated: {why}", "{name} 不求导：{why}"),
    "no gradient beside": (
        "the layer has no gradient for it after the backward pass (dW for W, grads['W'], W.grad)",
        "反向传播后层中没有它的梯度（W 对应 dW、grads['W'] 或 W.grad）",
    ),
    "a mask": ("it holds only 0 and 1, and no gradient is returned for it", "它只含 0 和 1，且没有返回它的梯度"),
    "ignores dout": (
        "the gradient that arrives (dout) isn't used: it is the same for any",
        "没有用传来的梯度（dout）：无论它是什么，结果都一样",
    ),
    "ignores dout: hint": (
        "Multiply by dout; or, where nothing comes after this loss, give it a default: backward(self, dout=1).",
        "乘以 dout；若此损失之后没有别的运算，可给它默认值：backward(self, dout=1)。",
    ),
    "no gradient by its name": (
        "it is returned beside the gradients, and by its name isn't one of an argument",
        "它与梯度一起返回，但从名称看不是任何参数的梯度",
    ),
    "uncertain": (
        "{n} numerical derivatives of {name} are known to {error} only: the function is noisy, or not smooth, there",
        "{name} 的 {n} 个数值导数只精确到 {error}：函数在那里有噪声或不光滑",
    ),
    "float32": (
        "{n} entries of {name} are wrong in float32 only, by rounding; what the same code gives in float64 is right",
        "{name} 的 {n} 个元素仅因 float32 的舍入而不准；同样的代码在 float64 下是正确的",
    ),
    "rounded": (
        "the function computes in about {digits} digits (float32 inside?); larger steps were taken",
        "函数只有约 {digits} 位精度（内部使用 float32？）；已采用更大的步长",
    ),
    "ties": (
        "each entry alone lies between the slopes of a tie, but together they give {got} where {low} to {high} is "
        "possible: a tie's gradient is given more than once",
        "每个元素单独看都在并列处的左右斜率之间，但合起来是 {got}，而可能的范围是 {low} 到 {high}：并列的梯度被重复给出",
    ),
    "rule": (
        "the gradient rule of the operation `{operation}` is wrong for its input {which}: along a random line it gives "
        "{got}, and the forward function changes by {expected}",
        "运算 `{operation}` 对输入 {which} 的梯度规则有误：沿随机方向它给出 {got}，而前向函数的变化为 {expected}",
    ),
    "ties: hint": (
        "give a tie's gradient to one of the tied entries (argmax), or share it: mask / mask.sum()",
        "把并列的梯度只给其中一个元素（argmax），或平均分配：mask / mask.sum()",
    ),
}


def say(sentence: str, language: Language = "en", **parts: Any) -> str:
    """The sentence under this key, with its parts put in."""
    return SENTENCES[sentence][language == "zh"].format(**parts)


def finding(sentence: str, kind: str, inputs: tuple[str, ...], evidence: str = "", **parts: Any) -> Finding:
    """A finding whose text is the sentence under this key, and whose hint is the one under "key: hint"."""
    text, text_zh, hint = say(sentence, **parts), say(sentence, "zh", **parts), ""
    if f"{sentence}: hint" in SENTENCES:
        hint = say(f"{sentence}: hint", **parts)
        text_zh += "。" + say(f"{sentence}: hint", "zh", **parts)
    return Finding(kind, inputs, text, text_zh, evidence=evidence, hint=hint)
