package org.tflitelight.demo

/** How many frames a second have been answered lately. */
class Rate(private val window: Int = 20) {
    private val times = ArrayDeque<Long>()

    /** After a pause, which is no time that a frame took. */
    fun clear() = times.clear()

    /** Counts a frame answered at [nanos]; frames per second over the last ones, 0 before there are two. */
    fun count(nanos: Long): Double {
        times.addLast(nanos)
        if (times.size > window) times.removeFirst()
        val took = times.last() - times.first()
        return if (took > 0) (times.size - 1) * 1e9 / took else 0.0
    }
}
