package org.tflitelight.demo

import android.annotation.SuppressLint
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Surface
import org.tflitelight.demo.core.Frame

/** A camera of the phone, and how its frames lie: `sensor` is the turn, clockwise, that makes them upright. */
data class Lens(val id: String, val front: Boolean, val sensor: Int, val size: Size)

/** What the live screen sees with; tests give it photographs. */
interface Eyes {
    /**
     * The cameras, the back one first, with pictures whose shorter side is at least [leastSide] where they have any. May
     * throw what [failing] knows: the system's camera service can be gone, and a camera unplugged meanwhile.
     */
    fun lenses(leastSide: Int): List<Lens>

    /**
     * Opens [lens], shows it on [preview], and gives each frame, [turn] degrees from upright, to [onFrame] on [frames]'
     * thread. A frame that comes while the last is worked on is dropped, not queued; none may be kept. [onLost] is told
     * on another thread why there is no picture any more. Returns at once; the permission must have been given. Once the
     * result is closed no further frame begins.
     */
    fun open(lens: Lens, preview: SurfaceTexture, turn: Int, frames: Handler, onFrame: (Frame) -> Unit, onLost: (Reason) -> Unit): AutoCloseable
}

class Cameras(private val manager: CameraManager) : Eyes {
    override fun lenses(leastSide: Int): List<Lens> =
        manager.cameraIdList
            .mapNotNull { lens(it, manager.getCameraCharacteristics(it), leastSide) }
            .distinctBy { it.front }
            .sortedBy { it.front }

    override fun open(
        lens: Lens, preview: SurfaceTexture, turn: Int, frames: Handler, onFrame: (Frame) -> Unit, onLost: (Reason) -> Unit,
    ): AutoCloseable = Camera(manager, frames, { onFrame(it.frame(turn)) }, onLost).apply { open(lens, preview) }
}

private fun lens(id: String, about: CameraCharacteristics, need: Int): Lens? {
    val sizes =
        about[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP]
            ?.getOutputSizes(ImageFormat.YUV_420_888)
            ?.takeIf { it.isNotEmpty() } ?: return null
    val front = about[CameraCharacteristics.LENS_FACING] == CameraCharacteristics.LENS_FACING_FRONT
    return Lens(id, front, about[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0, smallest(sizes.toList(), need))
}

/** The smallest 4:3 size (the sensor's own shape, so nothing is cut off) with enough pixels; else the nearest. */
fun smallest(sizes: List<Size>, need: Int): Size {
    fun short(size: Size) = minOf(size.width, size.height)
    val whole = sizes.filter { it.width * 3 == it.height * 4 }.ifEmpty { sizes }
    val enough = whole.filter { short(it) >= maxOf(need, LEAST_SIDE) }
    return enough.minByOrNull(::short) ?: whole.maxBy(::short)
}

/** Why a camera gives no picture (any more). */
enum class Reason(val problem: Int, val hint: Int) {
    TAKEN(R.string.camera_taken, R.string.camera_taken_hint),
    DISABLED(R.string.camera_disabled, R.string.camera_disabled_hint),
    REFUSED(R.string.camera_refused, R.string.camera_refused_hint),
    FAILED(R.string.camera_failed, R.string.camera_failed_hint),
}

private const val LEAST_SIDE = 480 // below it a preview looks poor on a phone

/** Degrees, clockwise, that a frame has to be turned by when the display is turned by [display] degrees. */
fun Lens.turn(display: Int): Int = (if (front) sensor + display else sensor - display + 360) % 360

/** The result of [step], or null, and [onLost] is told why the system would not. */
fun <T> failing(onLost: (Reason) -> Unit, step: () -> T): T? {
    val reason =
        try {
            return step()
        } catch (error: CameraAccessException) {
            reasonOf(error.reason)
        } catch (_: IllegalStateException) { // closed from outside between two steps
            Reason.FAILED
        } catch (_: IllegalArgumentException) { // unplugged, or a surface that went away
            Reason.FAILED
        } catch (_: SecurityException) { // the permission was taken back
            Reason.REFUSED
        }
    onLost(reason)
    return null
}

/**
 * One open camera. Its own thread talks to the system, and has all that is opened here; frames go to [onFrame] on [frames]'
 * thread.
 */
private class Camera(
    private val manager: CameraManager,
    private val frames: Handler,
    private val onFrame: (Image) -> Unit,
    private val onLost: (Reason) -> Unit,
) : AutoCloseable {
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private var reader: ImageReader? = null
    private var shown: Surface? = null
    private var device: CameraDevice? = null

    @Volatile private var closed = false

    fun open(lens: Lens, preview: SurfaceTexture) {
        handler.post { failing { if (!closed) openNow(lens, preview) } }
    }

    /** Gives the camera back to other apps, soon: behind what opens it, and a frame that is worked on. */
    override fun close() {
        closed = true
        handler.post {
            device?.close()
            shown?.release()
            reader?.let { frames.post(it::close) }
            thread.quitSafely()
        }
    }

    @SuppressLint("MissingPermission")
    private fun openNow(lens: Lens, preview: SurfaceTexture) {
        preview.setDefaultBufferSize(lens.size.width, lens.size.height)
        val images = ImageReader.newInstance(lens.size.width, lens.size.height, ImageFormat.YUV_420_888, 2).also { reader = it }
        images.setOnImageAvailableListener({ from -> if (!closed) from.acquireLatestImage()?.use(onFrame) }, frames)
        val seen = Surface(preview).also { shown = it }
        manager.openCamera(lens.id, Opening(listOf(seen, images.surface)), handler)
    }

    private inner class Opening(private val surfaces: List<Surface>) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            device = camera
            if (closed) return camera.close()
            @Suppress("DEPRECATION") // its successor needs API 28
            failing { camera.createCaptureSession(surfaces, Streaming(camera, surfaces), handler) }
        }

        override fun onDisconnected(camera: CameraDevice) = lose(camera, Reason.TAKEN)

        override fun onError(camera: CameraDevice, error: Int) = lose(camera, reason(error))

        private fun lose(camera: CameraDevice, reason: Reason) {
            camera.close()
            lost(reason)
        }
    }

    private inner class Streaming(private val camera: CameraDevice, private val surfaces: List<Surface>) :
        CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) = failing {
            val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            surfaces.forEach(request::addTarget)
            request[CaptureRequest.CONTROL_AF_MODE] = CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE
            session.setRepeatingRequest(request.build(), null, handler)
        }

        override fun onConfigureFailed(session: CameraCaptureSession) = lost(Reason.FAILED)
    }

    private fun failing(step: () -> Unit) {
        failing(::lost, step)
    }

    /** Who has closed it knows. */
    private fun lost(reason: Reason) {
        if (!closed) onLost(reason)
    }
}

/** The core's view of a camera's frame: the same memory. */
private fun Image.frame(turn: Int): Frame {
    val (y, u, v) = planes
    return Frame(width, height, turn, y.buffer, u.buffer, v.buffer, y.rowStride, u.rowStride, u.pixelStride)
}

private fun reason(error: Int): Reason =
    when (error) {
        CameraDevice.StateCallback.ERROR_CAMERA_IN_USE, CameraDevice.StateCallback.ERROR_MAX_CAMERAS_IN_USE ->
            Reason.TAKEN
        CameraDevice.StateCallback.ERROR_CAMERA_DISABLED -> Reason.DISABLED
        else -> Reason.FAILED
    }

private fun reasonOf(access: Int): Reason =
    when (access) {
        CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE -> Reason.TAKEN
        CameraAccessException.CAMERA_DISABLED -> Reason.DISABLED
        else -> Reason.FAILED
    }
