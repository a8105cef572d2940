package org.tflitelight.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import android.graphics.RectF
import android.util.AttributeSet
import android.util.Size
import android.view.TextureView
import android.widget.FrameLayout

/** The camera's whole picture, upright and as large as fits, with a frame around what the model is shown of it. */
class PreviewLayout(context: Context, attributes: AttributeSet) : FrameLayout(context, attributes) {
    val texture = TextureView(context)
    private var shape = Size(3, 4) // of the upright picture
    private var turned = 0
    private var seen = RectF() // shares of the picture
    private val line = Paint().apply {
        style = Paint.Style.STROKE
        strokeWidth = 2 * resources.displayMetrics.density
        color = Color.WHITE
        setShadowLayer(strokeWidth, 0f, 0f, Color.BLACK) // seen on white as well
    }

    init {
        setWillNotDraw(false)
        addView(texture)
        contentDescription = context.getString(R.string.camera_preview)
    }

    /** [picture] upright; the display turned by [display] degrees; [box] of the picture, in shares of its sides. */
    fun show(picture: Size, display: Int, box: RectF) {
        shape = picture
        turned = display
        seen = box
        requestLayout()
    }

    override fun onLayout(changed: Boolean, left: Int, top: Int, right: Int, bottom: Int) {
        val scale = minOf((right - left).toFloat() / shape.width, (bottom - top).toFloat() / shape.height)
        val (width, height) = (shape.width * scale).toInt() to (shape.height * scale).toInt()
        val (x, y) = (right - left - width) / 2 to (bottom - top - height) / 2
        texture.layout(x, y, x + width, y + height)
        texture.setTransform(upright(width.toFloat(), height.toFloat()))
    }

    /** A texture shows frames upright on a display that is not turned; this makes up for one that is. */
    private fun upright(width: Float, height: Float): Matrix {
        val (x, y) = width / 2 to height / 2
        val matrix = Matrix()
        if (turned % 180 != 0) {
            val across = RectF(x - height / 2, y - width / 2, x + height / 2, y + width / 2)
            matrix.setRectToRect(RectF(0f, 0f, width, height), across, Matrix.ScaleToFit.FILL)
        }
        matrix.postRotate(-turned.toFloat(), x, y)
        return matrix
    }

    override fun dispatchDraw(canvas: Canvas) {
        super.dispatchDraw(canvas)
        if (seen.isEmpty) return
        val (x, y) = texture.left to texture.top
        val (width, height) = texture.width to texture.height
        canvas.drawRect(
            x + seen.left * width, y + seen.top * height, x + seen.right * width, y + seen.bottom * height, line,
        )
    }
}
