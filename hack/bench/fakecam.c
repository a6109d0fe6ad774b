//go:build ignore

/*
 * fakecam.so is a V4L2 camera inside one process, for streamers that we measure
 * beside ours on machines without a camera:
 *
 *	cc -O2 -Wall -Wextra -fPIC -shared -o fakecam.so fakecam.c
 *	LD_PRELOAD=./fakecam.so FAKECAM_DEVICE=./camera FAKECAM_JPEG=frame.jpg \
 *		FAKECAM_FPS=30 ustreamer --device=./camera --format=MJPEG
 *
 * FAKECAM_DEVICE is the path that means the camera; it must be a file, because
 * streamers look before they open. FAKECAM_JPEG is what it sees, FAKECAM_FPS how
 * often. Each frame carries, as a comment segment behind SOI, when it was
 * captured and which one it is: 16 hexadecimal digits of Unix nanoseconds and 16
 * of the sequence number, so that a viewer knows its age whatever the streamer
 * says.
 *
 * The camera's descriptor is a timerfd: it is readable when a frame is due, for
 * poll, select and epoll alike. Frames for which no buffer is queued are lost,
 * as in a driver, and leave a gap in the sequence. One camera can be open at a
 * time. V4L2: https://docs.kernel.org/userspace-api/media/v4l/v4l2.html
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	max_buffers = 32,
	width = 1280,
	height = 720,
	stamp_digits = 32,
	comment_size = 4 + stamp_digits, /* FF FE, length, digits */
	soi_size = 2,
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int fd; /* 0 while closed: never a timerfd in a program with stdin */
	int nonblocking;
	unsigned fps;
	uint8_t *jpeg; /* with room for the comment */
	size_t jpeg_size;
	size_t buffer_size;
	unsigned buffers;
	uint8_t *memory[max_buffers];
	unsigned queue[max_buffers]; /* of buffers that may be filled */
	unsigned queue_first, queued;
	uint32_t sequence;
} camera;

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f) {
		fprintf(stderr, "fakecam: libc has no %s\n", name);
		abort();
	}
	return f;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		fprintf(stderr, "fakecam: %s is not set; fakecam.c says what it is\n", name);
		exit(2);
	}
	return value;
}

/* load_jpeg reads the picture and makes room for the comment behind SOI. */
static void load_jpeg(void)
{
	const char *path = setting("FAKECAM_JPEG");
	FILE *file = fopen(path, "rb");
	long size;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < soi_size) {
		fprintf(stderr, "fakecam: cannot read a JPEG from %s\n", path);
		exit(2);
	}
	rewind(file);
	camera.jpeg_size = (size_t)size + comment_size;
	camera.jpeg = malloc(camera.jpeg_size);
	if (!camera.jpeg || fread(camera.jpeg + comment_size, 1, (size_t)size, file) != (size_t)size ||
	    memcmp(camera.jpeg + comment_size, "\xff\xd8", soi_size)) {
		fprintf(stderr, "fakecam: %s is not a JPEG\n", path);
		exit(2);
	}
	fclose(file);
	memcpy(camera.jpeg, "\xff\xd8\xff\xfe\0", 5);
	camera.jpeg[5] = comment_size - 2; /* with the length field itself */
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t raw = (size_t)width * height * 2; /* what drivers announce as the largest image */
	camera.buffer_size = camera.jpeg_size > raw ? camera.jpeg_size : raw;
	camera.buffer_size = (camera.buffer_size + page - 1) / page * page;
}

static int camera_open(int flags)
{
	pthread_mutex_lock(&mutex);
	if (camera.fd) {
		pthread_mutex_unlock(&mutex);
		return fail(EBUSY);
	}
	if (!camera.jpeg) {
		load_jpeg();
		camera.fps = (unsigned)strtoul(setting("FAKECAM_FPS"), NULL, 10);
		if (camera.fps < 1 || camera.fps > 1000) {
			fprintf(stderr, "fakecam: FAKECAM_FPS must be 1 to 1000\n");
			exit(2);
		}
	}
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd >= 0) {
		camera.fd = fd;
		camera.nonblocking = flags & O_NONBLOCK;
	}
	pthread_mutex_unlock(&mutex);
	return fd;
}

static int is_camera(int fd)
{
	return fd > 0 && fd == __atomic_load_n(&camera.fd, __ATOMIC_RELAXED);
}

/* stream starts (on) or stops the frames; stopping takes all buffers back. */
static int stream(int on)
{
	struct timespec period = { 0, 0 };
	if (on) {
		period.tv_sec = camera.fps == 1;
		period.tv_nsec = 1000000000L / camera.fps % 1000000000L;
	} else {
		camera.queued = 0;
	}
	struct itimerspec timer = { period, period };
	return timerfd_settime(camera.fd, 0, &timer, NULL);
}

/* fill takes a frame into the next queued buffer; due frames count since the last. */
static int fill(struct v4l2_buffer *b, uint64_t due)
{
	struct timespec wall, monotonic;
	char stamp[stamp_digits + 1];

	camera.sequence += (uint32_t)due;
	if (!camera.queued)
		return fail(EAGAIN);
	unsigned index = camera.queue[camera.queue_first];
	camera.queue_first = (camera.queue_first + 1) % max_buffers;
	camera.queued--;
	if (!camera.memory[index])
		return fail(EIO);

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	snprintf(stamp, sizeof stamp, "%016llx%016x",
		 (unsigned long long)wall.tv_sec * 1000000000ULL + (unsigned long long)wall.tv_nsec,
		 camera.sequence);
	memcpy(camera.memory[index], camera.jpeg, camera.jpeg_size);
	/* The picture's own SOI, behind the comment, is covered by the last two digits. */
	memcpy(camera.memory[index] + soi_size + 4, stamp, stamp_digits);

	b->index = index;
	b->bytesused = (uint32_t)camera.jpeg_size;
	b->length = (uint32_t)camera.buffer_size;
	b->m.offset = (uint32_t)(index * camera.buffer_size);
	b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	b->field = V4L2_FIELD_NONE;
	b->sequence = camera.sequence;
	b->timestamp.tv_sec = monotonic.tv_sec;
	b->timestamp.tv_usec = monotonic.tv_nsec / 1000;
	return 0;
}

/* dequeue waits for a frame, without the mutex, so that others can queue. */
static int dequeue(struct v4l2_buffer *b)
{
	for (;;) {
		uint64_t due;
		if (read(camera.fd, &due, sizeof due) == sizeof due) {
			pthread_mutex_lock(&mutex);
			int result = fill(b, due);
			pthread_mutex_unlock(&mutex);
			if (!result || camera.nonblocking || errno != EAGAIN)
				return result;
		} else if (errno != EAGAIN || camera.nonblocking) {
			return -1;
		}
		struct pollfd p = { .fd = camera.fd, .events = POLLIN };
		if (poll(&p, 1, -1) < 0)
			return -1;
	}
}

static int camera_ioctl(uint32_t request, void *arg)
{
	switch (request) {
	case VIDIOC_QUERYCAP: {
		struct v4l2_capability *c = arg;
		memset(c, 0, sizeof *c);
		strcpy((char *)c->driver, "fakecam");
		strcpy((char *)c->card, "fakecam");
		c->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
		c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
		return 0;
	}
	case VIDIOC_ENUM_FMT: {
		struct v4l2_fmtdesc *f = arg;
		if (f->index)
			return fail(EINVAL);
		f->pixelformat = V4L2_PIX_FMT_MJPEG;
		strcpy((char *)f->description, "Motion-JPEG");
		return 0;
	}
	case VIDIOC_ENUM_FRAMESIZES: {
		struct v4l2_frmsizeenum *s = arg;
		if (s->index)
			return fail(EINVAL);
		s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
		s->discrete.width = width;
		s->discrete.height = height;
		return 0;
	}
	case VIDIOC_G_FMT:
	case VIDIOC_S_FMT:
	case VIDIOC_TRY_FMT: {
		struct v4l2_pix_format *p = &((struct v4l2_format *)arg)->fmt.pix;
		memset(p, 0, sizeof *p);
		p->width = width;
		p->height = height;
		p->pixelformat = V4L2_PIX_FMT_MJPEG;
		p->field = V4L2_FIELD_NONE;
		p->sizeimage = (uint32_t)camera.buffer_size;
		return 0;
	}
	case VIDIOC_G_PARM:
	case VIDIOC_S_PARM: {
		struct v4l2_captureparm *p = &((struct v4l2_streamparm *)arg)->parm.capture;
		memset(p, 0, sizeof *p);
		p->capability = V4L2_CAP_TIMEPERFRAME;
		p->timeperframe.numerator = 1;
		p->timeperframe.denominator = camera.fps;
		return 0;
	}
	case VIDIOC_S_INPUT:
		return 0;
	case VIDIOC_REQBUFS: {
		struct v4l2_requestbuffers *r = arg;
		if (r->memory != V4L2_MEMORY_MMAP)
			return fail(EINVAL);
		if (r->count > max_buffers)
			r->count = max_buffers;
		camera.buffers = r->count;
		camera.queued = 0;
		return 0;
	}
	case VIDIOC_QUERYBUF: {
		struct v4l2_buffer *b = arg;
		if (b->index >= camera.buffers)
			return fail(EINVAL);
		b->length = (uint32_t)camera.buffer_size;
		b->m.offset = (uint32_t)(b->index * camera.buffer_size);
		return 0;
	}
	case VIDIOC_QBUF: {
		struct v4l2_buffer *b = arg;
		if (b->index >= camera.buffers || camera.queued >= camera.buffers)
			return fail(EINVAL);
		camera.queue[(camera.queue_first + camera.queued++) % max_buffers] = b->index;
		return 0;
	}
	case VIDIOC_STREAMON:
		return stream(1);
	case VIDIOC_STREAMOFF:
		return stream(0);
	}
	return fail(ENOTTY);
}

/* What follows stands before libc's functions of the same names. */

static int open_with(const char *name, const char *path, int flags, mode_t mode)
{
	const char *device = getenv("FAKECAM_DEVICE");
	if (device && path && !strcmp(path, device))
		return camera_open(flags);
	return ((int (*)(const char *, int, ...))next(name))(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return open_with("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return open_with("open64", path, flags, mode);
}

/* These are open and open64 of programs that were built with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags) { return open_with("open", path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_with("open64", path, flags, 0); }

int close(int fd)
{
	if (is_camera(fd)) {
		pthread_mutex_lock(&mutex);
		camera.fd = 0;
		camera.queued = camera.buffers = 0;
		pthread_mutex_unlock(&mutex);
	}
	return ((int (*)(int))next("close"))(fd);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	if (!is_camera(fd)) {
		if (!real)
			real = next("ioctl");
		return real(fd, request, arg);
	}
	if ((uint32_t)request == VIDIOC_DQBUF)
		return dequeue(arg);
	pthread_mutex_lock(&mutex);
	int result = camera_ioctl((uint32_t)request, arg);
	pthread_mutex_unlock(&mutex);
	return result;
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	static void *(*real)(void *, size_t, int, int, int, off_t);
	if (!real)
		real = next("mmap");
	if (!is_camera(fd))
		return real(addr, length, prot, flags, fd, offset);
	size_t index = (size_t)offset / camera.buffer_size;
	if (index >= camera.buffers || length != camera.buffer_size) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	void *p = real(addr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	camera.memory[index] = p == MAP_FAILED ? NULL : p;
	return p;
}

void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
	return mmap(addr, length, prot, flags, fd, offset);
}
