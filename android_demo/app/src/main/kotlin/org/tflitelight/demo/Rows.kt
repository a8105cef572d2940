package org.tflitelight.demo

import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.RadioButton
import android.widget.TextView

/** Lines of a list: a title, a detail, a mark where one is chosen from them, and a button where a line can be removed. */
class Rows(private val group: ViewGroup) {
    private val inflater = LayoutInflater.from(group.context)

    /** [chosen]: null where there is nothing to choose; without [take] a line cannot be touched. */
    fun add(title: CharSequence, detail: CharSequence?, chosen: Boolean? = null, remove: (() -> Unit)? = null, take: (() -> Unit)? = null) {
        val row = inflater.inflate(R.layout.row, group, false)
        row.findViewById<TextView>(R.id.title).say(title)
        row.findViewById<TextView>(R.id.detail).say(detail)
        chosen?.let { row.mark(it) }
        take?.let { row.setOnClickListener { _ -> it() } }
        remove?.let { row.offer(title, it) }
        group.addView(row)
    }

    fun clear() = group.removeAllViews()

    private fun View.offer(title: CharSequence, remove: () -> Unit) =
        with(findViewById<Button>(R.id.remove)) {
            visibility = View.VISIBLE
            contentDescription = context.getString(R.string.remove_what, title)
            setOnClickListener { remove() }
        }

    private fun View.mark(chosen: Boolean) {
        findViewById<RadioButton>(R.id.chosen).apply {
            visibility = View.VISIBLE
            isChecked = chosen
        }
        isSelected = chosen // what TalkBack says
    }
}
