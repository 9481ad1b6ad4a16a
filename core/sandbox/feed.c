/* The file's offset, which others share, is moved once, at the end: until then it is read by position. Both ends of the
 * pipe stay open here, so that a sandbox that reads nothing is no error, and what is left in it can be counted. */
#include "core/sandbox/feed.h"

#include "core/base/file.h"
#include "core/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIECE_BYTES = 16384 };

void feed_init(struct feed *feed)
{
    *feed = (struct feed){.file = -1, .to = -1, .from = -1};
}

bool feed_open(struct feed *feed, int file, struct err *err)
{
    off_t at = lseek(file, 0, SEEK_CUR);
    int ends[2];

    if (at < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot pass standard input on");
    *feed = (struct feed){.file = file, .to = ends[1], .from = ends[0], .at = at};
    if (proc_set_nonblock(feed->to))
        return true;
    feed_close(feed);
    return err_set(err, ERR_LAUNCH, "cannot pass standard input on");
}

static void end(struct feed *feed)
{
    file_close_ptr(&feed->to);
    feed->to = -1;
}

void feed_more(struct feed *feed)
{
    uint8_t bytes[PIECE_BYTES];
    ssize_t n = pread(feed->file, bytes, sizeof bytes, feed->at);

    if (n <= 0) {
        if (n == 0 || errno != EINTR)
            end(feed);
        return;
    }
    ssize_t taken = write(feed->to, bytes, (size_t)n);
    feed->at += taken > 0 ? taken : 0;
}

void feed_close(struct feed *feed)
{
    int unread = 0;

    if (feed->from < 0)
        return;
    bool known = ioctl(feed->from, FIONREAD, &unread) == 0;
    off_t at = feed->at - (off_t)unread;
    if (known)
        (void)!lseek(feed->file, at, SEEK_SET);
    end(feed);
    file_close_ptr(&feed->from);
    feed->from = -1;
}
