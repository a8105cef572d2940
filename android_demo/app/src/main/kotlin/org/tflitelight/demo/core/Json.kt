package org.tflitelight.demo.core

/**
 * JSON (RFC 8259) as maps, lists, strings, doubles, booleans and null; Android's own parser is not there on a plain JVM,
 * and takes what is not JSON. A key given twice and nesting deeper than [DEEPEST] are refused, too.
 */
class Json private constructor(private val text: String) {
    private var at = 0

    private fun document(): Any? {
        val found = value(0)
        blank()
        if (at < text.length) fail("more behind the end")
        return found
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) fail("nested too deeply")
        blank()
        return when (peek()) {
            '{' -> fields(depth)
            '[' -> items(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun fields(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        series('}') {
            val key = string()
            blank()
            take(':')
            if (key in found) fail("$key twice")
            found[key] = value(depth + 1)
        }
        return found
    }

    private fun items(depth: Int): List<Any?> = ArrayList<Any?>().also { found -> series(']') { found += value(depth + 1) } }

    private inline fun series(end: Char, one: () -> Unit) {
        at++
        blank()
        if (peek() == end) {
            at++
            return
        }
        while (true) {
            blank()
            one()
            blank()
            if (peek() == end) break
            take(',')
        }
        at++
    }

    private fun string(): String {
        take('"')
        val found = StringBuilder()
        while (peek() != '"') found.append(character())
        at++
        return found.toString()
    }

    private fun character(): Char {
        val one = text[at++]
        if (one < ' ') fail("a control character in a string")
        return if (one == '\\') escaped() else one
    }

    private fun escaped(): Char =
        when (val one = peek().also { at++ }) {
            '"', '\\', '/' -> one
            'b' -> '\b'
            'f' -> '\u000C'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> hexadecimal()
            else -> fail("an unknown escape")
        }

    private fun hexadecimal(): Char {
        val digits = text.substring(at, minOf(at + 4, text.length))
        if (!digits.matches(HEXADECIMAL)) fail("a broken escape")
        at += 4
        return digits.toInt(16).toChar()
    }

    private fun number(): Double {
        val start = at
        while (at < text.length && text[at] in NUMERIC) at++
        val digits = text.substring(start, at)
        if (!digits.matches(NUMBER)) fail("no value")
        return digits.toDouble()
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, at)) fail("no value")
        at += word.length
        return value
    }

    private fun blank() {
        while (at < text.length && text[at] in BLANKS) at++
    }

    private fun take(expected: Char) {
        if (peek() != expected) fail("no $expected")
        at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("an early end")

    private fun fail(what: String): Nothing = throw IllegalArgumentException("$what at character $at")

    companion object {
        /** Throws IllegalArgumentException where [text] is not JSON. */
        fun parse(text: String): Any? = Json(text).document()

        private const val DEEPEST = 32
        private const val BLANKS = " \t\r\n"
        private const val NUMERIC = "+-.0123456789eE"
        private val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
        private val HEXADECIMAL = Regex("[0-9a-fA-F]{4}")
    }
}
