package org.tensorflow.lite;

/** What TFLite tells only its own package: how many nodes an interpreter runs, after delegation. */
public final class PlanLength {
    private PlanLength() {}

    /** Nodes in the execution plan. One that no delegate took a node of has as many as without it. */
    public static int of(Interpreter interpreter) {
        return interpreter.wrapper.getExecutionPlanLength();
    }
}
