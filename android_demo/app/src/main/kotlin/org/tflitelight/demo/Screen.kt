package org.tflitelight.demo

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.view.MenuItem
import android.view.View
import android.widget.Button
import android.widget.TextView
import android.widget.Toolbar

/** What all screens share: the toolbar, what is under it, and the app's one [engine]. */
abstract class Screen(private val layout: Int, private val title: Int) : Activity() {
    protected val demo get() = application as Demo
    protected val engine get() = demo.engine

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.screen)
        layoutInflater.inflate(layout, findViewById(R.id.content))
        val toolbar = findViewById<Toolbar>(R.id.toolbar)
        setActionBar(toolbar)
        setTitle(title)
        if (!isTaskRoot) {
            toolbar.setNavigationIcon(R.drawable.ic_back)
            toolbar.setNavigationContentDescription(R.string.back)
        }
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        if (item.itemId != android.R.id.home) return super.onOptionsItemSelected(item)
        finish()
        return true
    }

    protected inline fun <reified T : Activity> go() = startActivity(Intent(this, T::class.java))
}

/** A step that a person can take. */
class Action(val title: Int, val take: () -> Unit)

/** Covers a part of the screen with what is wrong and what to do about it; without a [problem] it shows the part again. */
fun View.notice(problem: CharSequence?, hint: CharSequence? = null, vararg actions: Action) {
    findViewById<View>(R.id.notice).visibility = if (problem == null) View.GONE else View.VISIBLE
    findViewById<TextView>(R.id.notice_problem).say(problem)
    findViewById<TextView>(R.id.notice_hint).say(hint)
    offer(R.id.notice_first, actions.getOrNull(0))
    offer(R.id.notice_second, actions.getOrNull(1))
}

fun View.notice(problem: Int, hint: Int, vararg actions: Action) =
    notice(context.getString(problem), context.getString(hint), *actions)

fun View.fail(state: State.Failed, vararg actions: Action) = notice(state.problem, state.hint, *actions)

private fun View.offer(button: Int, action: Action?) =
    with(findViewById<Button>(button)) {
        visibility = if (action == null) View.GONE else View.VISIBLE
        action?.let { setText(it.title) }
        setOnClickListener { action?.take?.invoke() }
    }

/** The text, or no line at all where there is none. Equal text is not laid out again. */
fun TextView.say(said: CharSequence?) {
    visibility = if (said.isNullOrEmpty()) View.GONE else View.VISIBLE
    if (text.toString() != (said ?: "").toString()) text = said
}
