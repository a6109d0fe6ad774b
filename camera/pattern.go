package camera

import (
	"context"
	"fmt"
	"time"

	"github.com/pushcam/pushcam/camera/internal/testcard"
)

const (
	defaultWidth   = 1280
	defaultHeight  = 720
	defaultQuality = 80

	// minDrawn and maxDrawn bound the sides of drawn pictures, in pixels. To draw the
	// largest takes 64 MiB of memory.
	minDrawn = 32
	maxDrawn = 4096
)

// A Pattern is a Source that draws a moving test card, for computers without a camera
// and for tests. The card shows the time of day, so that a clock beside the picture
// shows the latency, and the number of the frame, so that a lost frame shows.
//
// Zero Settings mean 1280×720 at 30 frames per second in quality 80.
type Pattern struct {
	Settings
	// Caption is shown below the picture, for instance that this stands in for a camera.
	// It is cut after two lines.
	Caption string
}

var _ Source = (*Pattern)(nil)

var patternDevice = Device{Name: "test pattern"}

// Check always succeeds.
func (p *Pattern) Check() (Device, error) { return patternDevice, nil }

// Run draws until ctx is done, and returns its cause. Frames that the computer
// was too slow to draw in time count as DropLost.
func (p *Pattern) Run(ctx context.Context, sink Sink) error {
	format := p.format()
	card, err := testcard.New(testcard.Config{
		Width:   format.Width,
		Height:  format.Height,
		FPS:     format.FPS,
		Quality: drawnQuality(p.Quality),
		Caption: p.Caption,
	})
	if err != nil {
		return fmt.Errorf("drawing the test pattern: %w", err)
	}
	sink.Started(patternDevice, format)

	pace := newPacer(ctx, format.FPS)
	defer pace.close()
	for last := int64(-1); ; {
		n, err := pace.wait(ctx)
		if err != nil {
			return err
		}
		if missed := n - last - 1; missed > 0 {
			sink.Drop(DropLost, int(missed))
		}
		last = n
		jpeg, err := card.Frame(time.Now(), uint64(n)+1)
		if err != nil {
			return fmt.Errorf("drawing the test pattern: %w", err)
		}
		sink.Frame(&Frame{JPEG: jpeg, Time: time.Now(), Width: format.Width, Height: format.Height})
	}
}

// format is the format that the settings result in.
func (p *Pattern) format() Format {
	asked := Format{PixelFormat: "JPEG", Width: p.Width, Height: p.Height, FPS: p.FPS}
	if asked.Width == 0 || asked.Height == 0 {
		asked.Width, asked.Height = defaultWidth, defaultHeight
	}
	if asked.FPS == 0 {
		asked.FPS = defaultFPS
	}
	f := asked
	f.Width = drawnSide(f.Width)
	f.Height = drawnSide(f.Height)
	f.FPS = pacedFPS(f.FPS)
	if f != asked {
		f.Adjusted = fmt.Sprintf("asked for %d×%d at %.4g fps; the test pattern has sides of %d to %d pixels, at %.4g to %d fps",
			asked.Width, asked.Height, asked.FPS, minDrawn, maxDrawn, minFPS, maxFPS)
	}
	return f
}

func drawnSide(pixels int) int { return min(max(pixels, minDrawn), maxDrawn) }

func drawnQuality(quality int) int {
	if quality <= 0 {
		return defaultQuality
	}
	return min(quality, 100)
}
