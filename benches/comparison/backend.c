// The server behind every proxy of the comparison: cheaper than any of them, so that it is never what is measured.
//
//   backend PORT        on 127.0.0.1
//   backend PORT any    on every loopback address, 127.0.0.0/8
//
//   GET /big...         200 and 100 MiB
//   GET, HEAD           200 and 1 KiB
//   anything else       reads the whole body, with Content-Length or chunked, then 200 and two bytes
//
// One thread, epoll. It trusts its peer: it is only ever reached over loopback, by the proxies of one run.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 1 << 10, BIG = 100 << 20, BLOCK = 1 << 20, BUFFER = 64 << 10, EVENTS = 256 };

static const char LAST_CHUNK[] = "0\r\n\r\n";
static const char DONE[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

typedef struct {
    int fd;
    int waits_for_room; // whether epoll watches for EPOLLOUT
    int chunked;        // in the middle of a chunked body
    long long to_skip;  // bytes of a body with a length that are still to come
    long long to_send;  // bytes of a big answer that still have to go
    int length;         // bytes in the buffer
    char buffer[BUFFER];
} connection;

static char small[2 * SMALL];
static int small_length;
static char block[BLOCK];
static int poller;

static void watch(connection *c, int for_room) {
    if (c->waits_for_room == for_room) return;
    c->waits_for_room = for_room;
    struct epoll_event event = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void drop(connection *c) {
    close(c->fd);
    free(c);
}

// Small answers always fit into the socket's buffer, so this does not wait in practice. 0, or -1 for a broken connection.
static int write_all(connection *c, const char *bytes, int length) {
    while (length > 0) {
        int sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) return -1;
        if (sent > 0) bytes += sent, length -= sent;
    }
    return 0;
}

// Sends as much of a big answer as there is room for.
static int send_big(connection *c) {
    while (c->to_send) {
        ssize_t sent = send(c->fd, block, c->to_send < BLOCK ? c->to_send : BLOCK, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return -1;
        if (sent < 0) return watch(c, 1), 0;
        c->to_send -= sent;
    }
    return watch(c, 0), 0;
}

static int begin_big(connection *c) {
    char head[256];
    int length = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", BIG);
    c->to_send = BIG;
    return write_all(c, head, length) || send_big(c) ? -1 : 0;
}

static void consume(connection *c, int bytes) {
    c->length -= bytes;
    memmove(c->buffer, c->buffer + bytes, c->length);
}

// Takes what has come of a body. 1 when more has to come, 0 when it is answered, -1 for a broken connection.
static int take_body(connection *c) {
    if (c->to_skip) {
        int here = c->to_skip < c->length ? c->to_skip : c->length;
        c->to_skip -= here;
        consume(c, here);
        if (c->to_skip) return 1;
        return write_all(c, DONE, sizeof DONE - 1);
    }
    int tail = sizeof LAST_CHUNK - 1;
    if (c->length < tail || memcmp(c->buffer + c->length - tail, LAST_CHUNK, tail)) {
        int keep = c->length < tail - 1 ? c->length : tail - 1;
        consume(c, c->length - keep);
        return 1;
    }
    c->chunked = c->length = 0;
    return write_all(c, DONE, sizeof DONE - 1);
}

// Starts on the request whose head ends at `end`. 0, or -1 for a broken connection.
static int answer(connection *c, char *end) {
    int head = end + 4 - c->buffer, result = 0;
    *end = 0;
    if (!strncmp(c->buffer, "GET /big", 8)) {
        result = begin_big(c);
    } else if (c->buffer[0] == 'G' || c->buffer[0] == 'H') {
        result = write_all(c, small, c->buffer[0] == 'H' ? small_length - SMALL : small_length);
    } else {
        char *size = strcasestr(c->buffer, "\r\ncontent-length:");
        c->chunked = strcasestr(c->buffer, "\r\ntransfer-encoding: chunked") != 0;
        c->to_skip = size && !c->chunked ? atoll(size + 17) : 0;
        if (!c->chunked && !c->to_skip) result = write_all(c, DONE, sizeof DONE - 1);
    }
    consume(c, head);
    return result;
}

// Goes through what is in the buffer. 0, or -1 to drop the connection.
static int serve(connection *c) {
    while (c->length && !c->to_send) {
        if (c->to_skip || c->chunked) {
            int state = take_body(c);
            if (state) return state < 0 ? -1 : 0;
            continue;
        }
        char *end = memmem(c->buffer, c->length, "\r\n\r\n", 4);
        if (!end) return c->length == BUFFER ? -1 : 0;
        if (answer(c, end)) return -1;
    }
    return 0;
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static void handle(connection *c, unsigned events) {
    if ((events & EPOLLOUT) && c->to_send && send_big(c)) return drop(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        int got = recv(c->fd, c->buffer + c->length, BUFFER - c->length, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return drop(c);
        if (got > 0) c->length += got;
    }
    if (serve(c)) drop(c);
}

static int listen_on(int port, int any) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // With every address bound, the interface keeps everybody else out.
    if (any && setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)) return perror("SO_BINDTODEVICE"), -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return perror("bind"), -1;
    return listener;
}

int main(int count, char **arguments) {
    if (count < 2) return fputs("usage: backend PORT [any]\n", stderr), 2;
    signal(SIGPIPE, SIG_IGN);
    memset(block, 'x', sizeof block);
    small_length = sprintf(small, "HTTP/1.1 200 OK\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nServer: backend\r\n"
                                  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", SMALL);
    memset(small + small_length, 'x', SMALL);
    small_length += SMALL;

    int listener = listen_on(atoi(arguments[1]), count > 2);
    if (listener < 0) return 1;
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = 0}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (!events[i].data.ptr) accept_all(listener);
            else handle(events[i].data.ptr, events[i].events);
        }
    }
}
