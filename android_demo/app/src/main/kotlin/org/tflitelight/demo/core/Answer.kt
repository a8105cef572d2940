package org.tflitelight.demo.core

import java.nio.ByteBuffer
import kotlin.math.exp
import kotlin.math.ln

/** A label and its probability, 0..1; labels that several classes have are told apart by their index. */
data class Label(val name: String, val probability: Float)

/** An answer with NaN or infinity in it. */
class NoNumber : IllegalArgumentException("its answer is no number")

/**
 * The [count] likeliest labels of an output, in the file's own type and the processor's order, the likeliest first. Throws
 * NoNumber where it holds NaN or infinity: float16 may overflow, say.
 */
fun best(contract: Contract, output: ByteBuffer, count: Int): List<Label> {
    val logits = real(contract.output, output)
    if (!logits.all(Float::isFinite)) throw NoNumber()
    val (largest, temperature) = logits.max() to (contract.confidence?.temperature ?: 1.0)
    val shares = DoubleArray(logits.size) { exp((logits[it] - largest) / temperature) }
    val sum = shares.sum()
    return shares.indices.sortedByDescending { shares[it] }.take(count).map { Label(title(contract.labels, it), (shares[it] / sum).toFloat()) }
}

/** Whether an output is of a picture that shows none of the labels; false where the file knows no threshold. */
fun isNoneOfThese(contract: Contract, output: ByteBuffer): Boolean {
    val threshold = contract.confidence?.threshold ?: return false
    return energy(real(contract.output, output)) < threshold
}

/** log(sum(exp(logits))): the contract's score, of Liu et al. 2020 without their sign. */
private fun energy(logits: FloatArray): Double {
    val largest = logits.max().toDouble()
    return largest + ln(logits.sumOf { exp(it - largest) })
}

private fun title(labels: List<String>, index: Int) = labels[index].let { if (labels.indexOf(it) == labels.lastIndexOf(it)) it else "$it ($index)" }

/** The output's own values, as numbers. */
internal fun values(tensor: Tensor, output: ByteBuffer): DoubleArray =
    DoubleArray(tensor.count) {
        when (tensor.type) {
            Tensor.Type.FLOAT32 -> output.getFloat(4 * it).toDouble()
            Tensor.Type.INT8 -> output.get(it).toDouble()
            Tensor.Type.UINT8 -> (output.get(it).toInt() and 255).toDouble()
        }
    }

private fun real(tensor: Tensor, output: ByteBuffer): FloatArray {
    val raw = values(tensor, output)
    return FloatArray(raw.size) { if (tensor.scale == 0f) raw[it].toFloat() else (raw[it].toFloat() - tensor.zeroPoint) * tensor.scale }
}
