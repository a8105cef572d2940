package org.tflitelight.demo.core

/** What a person can mend: what is wrong, and what to do. */
class Problem(override val message: String, val hint: String) : Exception(message)
