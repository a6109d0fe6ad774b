package camera

import (
	"fmt"
	"time"

	"github.com/pushcam/pushcam/camera/internal/testcard"
)

// Placeholder returns a picture with words that say why there is no other, with title in
// large letters above lines. Its Time is now.
//
// Any text is taken: it is wrapped, made smaller and at last cut to fit, and characters
// that the font does not have are replaced. Sizes of 0 mean 1280×720; others are brought
// into the range from 32 to 4096 pixels.
func Placeholder(width, height int, title string, lines ...string) (*Frame, error) {
	if width == 0 || height == 0 {
		width, height = defaultWidth, defaultHeight
	}
	width, height = drawnSide(width), drawnSide(height)
	jpeg, err := testcard.Placeholder(width, height, defaultQuality, title, lines...)
	if err != nil {
		return nil, fmt.Errorf("drawing a placeholder: %w", err)
	}
	return &Frame{JPEG: jpeg, Time: time.Now(), Width: width, Height: height}, nil
}
