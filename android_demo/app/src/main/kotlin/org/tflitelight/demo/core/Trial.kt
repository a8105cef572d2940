package org.tflitelight.demo.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** What came of the golden pictures on an accelerator. */
sealed interface Trial {
    /** The model may be used there; [ms]: the median inference. */
    sealed interface Usable : Trial {
        val ms: Double
    }

    /** [worst]: the largest difference, in steps or as a share. */
    data class Right(override val ms: Double, val worst: Double) : Usable

    /** It ran; whether it is right nobody knows, as there are no golden pictures. */
    data class Unchecked(override val ms: Double) : Usable

    /** It ran, and is not wrong on other golden pictures; this [picture] is there, but cannot be read. */
    data class Unreadable(override val ms: Double, val picture: String) : Usable

    data class Wrong(val text: String) : Trial

    /** The execution plan is as it was: the CPU would run everything. */
    data class Unused(val refused: List<String>) : Trial

    data class Failed(val text: String) : Trial

    /** The app stopped in an earlier trial of it, or its first answer failed; it would again, so only a person begins one. */
    data object Crashed : Trial
}

/**
 * What Auto takes: the fastest of those that are right on the golden pictures. Where none could be checked, the fastest on
 * the CPU, by XNNPACK, which computes the same on all processors that were measured; null where none may be used.
 */
fun fastest(tried: Map<Accelerator, Trial>): Accelerator? {
    val usable = tried.mapNotNull { (on, trial) -> (trial as? Trial.Usable)?.let { on to it } }
    val right = usable.filter { (_, trial) -> trial is Trial.Right }
    return right.ifEmpty { usable.filter { (on, _) -> on is Accelerator.Cpu } }.minByOrNull { (_, trial) -> trial.ms }?.first
}

/**
 * Runs the golden pictures, which [goldens] has by path, null where one cannot be read. The input is compared first: where it differs, preprocessing does.
 * What an output may differ by: 2 steps in an int8 file that XNNPACK computes (bit-equal on all processors that were
 * measured; 1 between LiteRT 2.3, which exports, and TFLite 2.16), 10 where TFLite's own kernels compute some of it (7 measured),
 * 4 on other accelerators; 1e-3 of the largest output in float32, and 10 steps of 128 where integers lie between float ends
 * (0.04 measured). The best label is the same, or one whose golden answer is as near to the best as that.
 */
fun tryOut(session: Session, on: Accelerator, contract: Contract, goldens: Map<String, Picture?>): Trial {
    if (session.nodes == session.nodesBefore && on !is Accelerator.Cpu) return Trial.Unused(session.refused)
    return try {
        Examination(session, contract, allowed(on, session.nodes <= XNNPACK_NODES, contract)).of(goldens)
    } catch (error: RuntimeException) { // TFLite's way to say that a run failed
        Trial.Failed(error.message ?: "$error")
    }
}

private fun allowed(on: Accelerator, whole: Boolean, contract: Contract): Double =
    when {
        contract.output.scale == 0f -> if (contract.integersInside) REFERENCE_STEPS / 128 else FLOAT_SHARE
        on !is Accelerator.Cpu -> ACCELERATOR_STEPS
        whole -> XNNPACK_STEPS
        else -> REFERENCE_STEPS
    }

private class Examination(private val session: Session, private val contract: Contract, private val allowed: Double) {
    private val preprocess = Preprocess(contract)
    private val input = direct(contract.input.sizeBytes)
    private val output = direct(contract.output.sizeBytes)
    private val unit = if (contract.output.scale == 0f) "of the largest output" else "steps"

    fun of(goldens: Map<String, Picture?>): Trial {
        var worst: Double? = null
        for (one in contract.golden) {
            val off = off(one, goldens[one.picture] ?: continue)
            wrong(one, off)?.let { return it }
            worst = maxOf(worst ?: 0.0, off ?: 0.0)
        }
        val unreadable = goldens.entries.find { it.value == null }
        return when {
            unreadable != null -> Trial.Unreadable(median(), unreadable.key)
            worst == null -> Trial.Unchecked(median())
            else -> Trial.Right(median(), worst)
        }
    }

    /** How far the answer to a golden picture is off; null where the input made of it is not the one it was exported with. */
    private fun off(golden: Golden, picture: Picture): Double? {
        preprocess.fill(picture, input)
        if (golden.inputSha256 != null && golden.inputSha256 != sha256(bytes(input))) return null
        session.run(input, output)
        val found = values(contract.output, output)
        if (found.size != golden.output.size) return Double.NaN
        val most = found.indices.maxOf { abs(found[it] - golden.output[it]).let { off -> if (off.isNaN()) Double.POSITIVE_INFINITY else off } }
        return if (contract.output.scale == 0f) most / maxOf(golden.output.maxOf(::abs), 1e-30) else most
    }

    private fun wrong(golden: Golden, off: Double?): Trial? =
        when {
            off == null -> Trial.Wrong("${golden.picture}: the input made of it is not the one that the model was exported with")
            !(off <= allowed) -> Trial.Wrong("${golden.picture}: its answer is off by ${figure(off)} $unit, at most ${figure(allowed)} are right")
            !tied(golden.output, values(contract.output, output)) -> Trial.Wrong("${golden.picture}: another label is the best")
            else -> null
        }

    /** Labels within what is allowed of the best, in golden answers, may take its place: another rounding does that. */
    private fun tied(golden: DoubleArray, found: DoubleArray): Boolean {
        val best = found.indices.maxBy { found[it] }
        return golden.max() - golden[best] <= if (contract.output.scale == 0f) allowed * golden.maxOf(::abs) else allowed
    }

    private fun median(): Double =
        DoubleArray(RUNS) {
            val start = System.nanoTime()
            session.run(input, output)
            (System.nanoTime() - start) / 1e6
        }.apply { sort() }[RUNS / 2]
}

private fun figure(value: Double) = if (value % 1 == 0.0) "${value.toLong()}" else "%.1e".format(value)

internal fun direct(size: Int): ByteBuffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())

private fun bytes(buffer: ByteBuffer) = ByteArray(buffer.capacity()).also { buffer.duplicate().apply { rewind() }.get(it) }

/** One that computes all, between the two conversions at a file's integer ends, which are exact. */
private const val XNNPACK_NODES = 3
private const val ACCELERATOR_STEPS = 4.0
private const val XNNPACK_STEPS = 2.0
private const val REFERENCE_STEPS = 10.0
private const val FLOAT_SHARE = 1e-3
private const val RUNS = 11
