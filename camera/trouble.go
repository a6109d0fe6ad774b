package camera

// trouble remembers what was logged of a Camera. An error that comes again and
// again is logged once, and counted until something else happens.
type trouble struct {
	what  string // the error that was logged last; empty when all is well
	times int    // that it came
	told  int    // of these, how many the log tells of
	eased bool   // the log tells that all was well again after it
}

// report makes err the state and logs it, unless it is what was logged last.
func (c *Camera) report(err error) {
	c.fail(err)

	t := &c.trouble
	if t.what == err.Error() {
		t.times++
		return
	}
	c.settle()
	*t = trouble{what: err.Error(), times: 1, told: 1}
	logger(c.Log).Warn("camera trouble", "reason", err)
}

// relief logs that the camera is well, when the log says that it is not.
func (c *Camera) relief(message string, args ...any) {
	if c.trouble.what == "" || c.trouble.eased {
		return
	}
	c.trouble.eased, c.trouble.told = true, c.trouble.times
	logger(c.Log).Info(message, append(args, "tries", c.trouble.times)...)
}

// settle ends a trouble, and logs how often it came if the log does not tell yet.
func (c *Camera) settle() {
	if t := c.trouble; t.times > t.told {
		logger(c.Log).Info("camera trouble came more than once", "reason", t.what, "times", t.times)
	}
	c.trouble = trouble{}
}

// sayStarted logs the first frame of a run.
func (c *Camera) sayStarted() {
	s := c.State()
	args := []any{"camera", s.Device.String(), "driver", s.Device.Driver, "format", s.Format.String()}
	if s.Format.Adjusted != "" {
		args = append(args, "adjusted", s.Format.Adjusted)
	}
	if c.trouble.what == "" {
		logger(c.Log).Info("camera started", args...)
	}
	c.relief("camera works again", args...)
}

// sayStopped logs that the source was stopped because that was wished.
func (c *Camera) sayStopped(why error) {
	c.mu.Lock()
	frames := c.run.frames
	c.mu.Unlock()
	logger(c.Log).Info("camera stopped", "why", why, "frames", frames)
}
