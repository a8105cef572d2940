package org.tflitelight.demo

import android.view.View
import android.view.ViewGroup
import android.widget.ProgressBar
import android.widget.TextView
import kotlin.math.roundToInt
import org.tflitelight.demo.core.Label
import org.tflitelight.demo.core.Problem

/** The three best labels as bars, what ran the model, and how long it took. */
class Answers(private val view: View) {
    private val bars = view.findViewById<ViewGroup>(R.id.bars)
    private val context get() = view.context

    /** What runs the model, and what is wrong with what was asked for. */
    fun show(state: State) {
        val ready = state as? State.Ready
        if (ready == null) clear()
        view.findViewById<TextView>(R.id.ran_on).say(context.ranOn(state))
        view.findViewById<TextView>(R.id.warning).say(ready?.let(context::warning))
    }

    fun show(answer: Answer, times: String) {
        show(if (answer.isNone) emptyList() else answer.best, times)
        if (answer.isNone) sayNone(bars.getChildAt(0))
    }

    private fun show(best: List<Label>, times: String) {
        for (place in 0 until bars.childCount) show(bars.getChildAt(place), best.getOrNull(place))
        view.findViewById<TextView>(R.id.times).say(times)
    }

    fun show(problem: Problem) = show(emptyList(), "${problem.message} ${problem.hint}")

    fun clear() = show(emptyList(), "")

    private fun sayNone(row: View) {
        val none = context.getString(R.string.none_of_these)
        row.visibility = View.VISIBLE
        row.findViewById<TextView>(R.id.label).say(none)
        row.findViewById<TextView>(R.id.percent).say(null)
        row.findViewById<ProgressBar>(R.id.bar).progress = 0
        row.contentDescription = none
    }

    private fun show(row: View, label: Label?) {
        row.visibility = if (label == null) View.INVISIBLE else View.VISIBLE
        if (label == null) return
        val percent = (label.probability * 100).roundToInt()
        row.findViewById<TextView>(R.id.label).say(label.name)
        row.findViewById<TextView>(R.id.percent).say(context.getString(R.string.percent, percent))
        row.findViewById<ProgressBar>(R.id.bar).progress = (label.probability * 1000).roundToInt()
        row.contentDescription = context.getString(R.string.label_percent, label.name, percent)
    }
}
