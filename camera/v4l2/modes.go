package v4l2

// Mode is a picture that a camera offers, as Source.PixelFormat and Source.Settings name it.
type Mode struct {
	PixelFormat   string
	Width, Height int       // pixels
	FPS           []float64 // the fastest first; none if the camera does not tell
}
