package pusher

import "net/http"

// endpoint is what answers at a path. Whoever may not look gets none of them but the
// public ones while viewing is closed, so a new one is closed if nobody thinks of it.
type endpoint struct {
	answer  http.HandlerFunc
	methods []string // nil: GET and HEAD
	// open tells whether scripts of any page may read the answer to a request, as
	// JPGPusher's client page does. nil: they may not.
	open func(*http.Request) bool
	// public is for those who may not look as well.
	public bool
	// picture is one that a signed URL may lead to.
	picture bool
}

// sessionPaths stands for the paths of all push sessions among the endpoints.
const sessionPaths = "/<15 digits>"

// newEndpoints are those of everybody, by their paths; the owner's are in Owner.Answers.
func (s *Server) newEndpoints() map[string]endpoint {
	always := func(*http.Request) bool { return true }
	forSession := func(r *http.Request) bool { return wantsSession(r) || r.Method == http.MethodOptions }
	post := []string{"POST"}
	all := map[string]endpoint{
		"/":             {answer: s.root, picture: true},
		"/view":         {answer: s.view},
		"/wall":         {answer: s.wall},
		"/stream":       {answer: s.stream, open: forSession, picture: true},
		"/stream.mjpg":  {answer: s.multipart, picture: true},
		"/frames":       {answer: s.records, picture: true},
		"/snapshot":     {answer: s.snapshot, picture: true},
		"/snapshot.jpg": {answer: s.snapshot, picture: true},
		"/state":        {answer: s.state},
		"/clock":        {answer: s.clock},
		"/metrics":      {answer: s.metrics},
		"/healthz":      {answer: s.healthz, public: true},
		"/licenses":     {answer: s.licenses},
		welcomePath:     {answer: s.choosePassword, methods: post, public: true},
		"/sessions":     {answer: s.newSession, methods: post, open: always},
		sessionPaths:    {answer: s.session, methods: []string{"GET", "HEAD", "POST"}, open: always, picture: true},
	}
	for path, answer := range s.Answers {
		all[path] = endpoint{answer: answer.ServeHTTP}
	}
	for _, path := range pageFiles {
		all[path] = endpoint{answer: s.pageFile, public: path == formStyle}
	}
	if s.hasPanel() {
		all["/panel"] = endpoint{answer: s.panel}
	}
	if s.logins != nil {
		all[loginPath] = endpoint{answer: s.login, methods: []string{"GET", "HEAD", "POST"}, public: true}
		all[logoutPath] = endpoint{answer: s.logout, methods: post, public: true}
	}
	if s.Viewing != nil {
		all["/signed"] = endpoint{answer: s.signURL}
	}
	return all
}
