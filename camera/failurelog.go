package camera

// A failureLog remembers which failure of a Camera was logged last. A failure that
// repeats is logged once, and counted until something else happens.
type failureLog struct {
	err       string // empty if there is none
	times     int    // how often it came
	logged    int    // how many of these times the log tells of
	recovered bool   // the log tells that all was well after it
}

// report makes err the state, and logs it unless it was logged last.
func (c *Camera) report(err error) {
	c.fail(err)

	l := &c.failures
	if l.err == err.Error() {
		l.times++
		return
	}
	c.flush()
	*l = failureLog{err: err.Error(), times: 1, logged: 1}
	logger(c.Log).Warn("camera trouble", "reason", err)
}

// logRecovered logs that the camera is well, if the log's last word is that it is not.
func (c *Camera) logRecovered(message string, args ...any) {
	if c.failures.err == "" || c.failures.recovered {
		return
	}
	c.failures.recovered, c.failures.logged = true, c.failures.times
	logger(c.Log).Info(message, append(args, "tries", c.failures.times)...)
}

// flush forgets the last failure. It logs how often that came, if the log does not tell
// yet.
func (c *Camera) flush() {
	if l := c.failures; l.times > l.logged {
		logger(c.Log).Info("camera trouble came more than once", "reason", l.err, "times", l.times)
	}
	c.failures = failureLog{}
}

// logStarted logs the first frame of a run.
func (c *Camera) logStarted() {
	s := c.State()
	args := []any{"camera", s.Device.String(), "driver", s.Device.Driver, "format", s.Format.String()}
	if s.Format.Adjusted != "" {
		args = append(args, "adjusted", s.Format.Adjusted)
	}
	if c.failures.err == "" {
		logger(c.Log).Info("camera started", args...)
	}
	c.logRecovered("camera works again", args...)
}

// logStopped logs that the source was stopped because that was wished.
func (c *Camera) logStopped(why error) {
	c.mu.Lock()
	frames := c.run.frames
	c.mu.Unlock()
	logger(c.Log).Info("camera stopped", "why", why, "frames", frames)
}
