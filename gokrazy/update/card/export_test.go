package card

// SetFreeze has f freeze /perm of a test's card.
func SetFreeze(c *Card, f func(dir string) error) { c.freeze = f }
