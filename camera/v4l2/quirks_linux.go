//go:build cgo

package v4l2

import (
	"math"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
)

// quirk is what a driver does in its own way.
type quirk struct {
	// bitRate: MJPG obeys a bit rate and no quality.
	bitRate bool
	// gapless: only what is delivered is numbered, so that frames which were lost
	// show in the time stamps alone.
	gapless bool
	// spills: what is too much for one buffer comes in the next.
	spills bool
	// firmware: EINVAL and EPERM are what becomes of a firmware's error, or of its
	// silence.
	firmware bool
	// module is the driver's, which must be loaded anew where there is no port to be reset.
	module string
	// maxVideo is the size up to which MJPG can always be had. Beyond it the
	// driver must have been told when it was loaded.
	maxVideo ioctl.Size
}

// quirks are by the name of the driver. The calls of the Pi's firmware time out after
// 3 s, and STREAMON takes 300 ms, for which a Camera's time limits have room.
var quirks = map[string]quirk{
	piCameraDriver: {
		bitRate: true, gapless: true, spills: true, firmware: true,
		module:   PiCameraModule,
		maxVideo: ioctl.Size{Width: piVideoWidth, Height: piVideoHeight},
	},
}

// fit makes a size as small as the driver takes it for video, with the same
// shape and even sides.
func (q quirk) fit(s ioctl.Size) ioctl.Size {
	if q.maxVideo.Width == 0 || s.Width <= q.maxVideo.Width && s.Height <= q.maxVideo.Height {
		return s
	}
	scale := min(float64(q.maxVideo.Width)/float64(s.Width), float64(q.maxVideo.Height)/float64(s.Height))
	return ioctl.Size{Width: int(float64(s.Width)*scale) &^ 1, Height: int(float64(s.Height)*scale) &^ 1}
}

// defaultVideoQuality is for drivers with a bit rate, when nobody asks for
// another.
const defaultVideoQuality = 75

// point is one of a curve.
type point struct{ x, y float64 }

// bitsPerPixel are what a JPEG of an ordinary scene has at quality 75, by the
// number of pixels: larger pictures have more that is plain. times is how much
// more or less another quality has. Both are of common experience with JPEG
// (4:2:0); the Pi's encoder was not measured.
var (
	bitsPerPixel = []point{{320 * 240, 0.9}, {640 * 480, 0.7}, {1280 * 720, 0.5}, {1920 * 1080, 0.4}, {3280 * 2464, 0.3}}
	times        = []point{{1, 0.15}, {10, 0.3}, {25, 0.5}, {50, 0.75}, {75, 1}, {85, 1.4}, {95, 2.5}, {100, 5}}
)

// videoBitRate is in bits per second, for pictures of a format and a quality
// from 1 to 100.
func videoBitRate(f camera.Format, quality int) float64 {
	pixels := float64(f.Width * f.Height)
	return pixels * at(bitsPerPixel, pixels) * at(times, float64(quality)) / f.FrameTime().Seconds()
}

// at is a curve's height at x, straight between its points and level beyond
// them.
func at(curve []point, x float64) float64 {
	if x <= curve[0].x {
		return curve[0].y
	}
	for i, b := range curve[1:] {
		if a := curve[i]; x <= b.x {
			return a.y + (b.y-a.y)*(x-a.x)/(b.x-a.x)
		}
	}
	return curve[len(curve)-1].y
}

// obeysBitRate says whether a stream of this format has a bit rate.
func (q quirk) obeysBitRate(f camera.Format) bool {
	return q.bitRate && f.PixelFormat == ioctl.PixelFormat(go4vl.PixelFmtMJPEG).String()
}

// nearest is the value that a control of numbers takes, nearest to v.
func nearest(c ioctl.ControlInfo, v float64) int32 {
	step := float64(max(c.Step, 1))
	v = float64(c.Min) + math.Round((v-float64(c.Min))/step)*step
	return int32(min(max(v, float64(c.Min)), float64(c.Max)))
}
