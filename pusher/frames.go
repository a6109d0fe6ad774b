package pusher

import "sync"

// frameBudget bounds the memory of the frames that slow clients hold, besides the newest.
// All who are sent a frame share it, but those who stop reading at different times hold
// different ones. If these are more than fit, the oldest are given up, and with them who
// holds them: such a client takes longer for a frame than the others.
//
// Whoever is sent a frame at once holds none, so there is nothing to count for most.
type frameBudget struct {
	max int64 // bytes

	mu             sync.Mutex
	held           int64 // bytes
	oldest, newest *hold
}

// hold is what somebody holds of a frameBudget. Who has it owns it, but not its fields.
type hold struct {
	part          *part // nil if it is nothing
	letGo         func()
	before, after *hold
}

// take notes that h holds p. If it has to give that up, letGo is called, which must not
// wait. That may happen until give has returned.
func (b *frameBudget) take(h *hold, p *part, letGo func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.part, h.letGo = p, letGo
	h.before, b.newest = b.newest, h
	if h.before == nil {
		b.oldest = h
	} else {
		h.before.after = h
	}
	if p.holders++; p.holders == 1 {
		b.held += int64(len(p.frame.JPEG))
	}
	for b.held > b.max && b.oldest.part != p {
		old := b.oldest
		end := old.letGo
		b.remove(old)
		end()
	}
}

// give notes that h holds nothing more.
func (b *frameBudget) give(h *hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.part != nil {
		b.remove(h)
	}
}

// remove takes h out of the list. b.mu is held.
func (b *frameBudget) remove(h *hold) {
	if h.before == nil {
		b.oldest = h.after
	} else {
		h.before.after = h.after
	}
	if h.after == nil {
		b.newest = h.before
	} else {
		h.after.before = h.before
	}
	if h.part.holders--; h.part.holders == 0 {
		b.held -= int64(len(h.part.frame.JPEG))
	}
	*h = hold{}
}
