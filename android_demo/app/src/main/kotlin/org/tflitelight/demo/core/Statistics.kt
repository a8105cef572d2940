package org.tflitelight.demo.core

/** Of at least one time. */
class Statistics(times: DoubleArray) {
    private val sorted = times.sortedArray()
    val p50 get() = quantile(0.5)
    val p90 get() = quantile(0.9)
    val worst get() = sorted.last()

    /** The smallest time that a share of the runs does not exceed. */
    private fun quantile(share: Double) = sorted[(Math.ceil(share * sorted.size).toInt() - 1).coerceAtLeast(0)]
}
