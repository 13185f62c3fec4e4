// What a client has to keep, less than any line does. Time in which it waits for us does not count.

/** Bytes a second that a body has to bring. */
export const MIN_UPLOAD_RATE = 1024

/** Bytes a second that a client has to take of an answer: it keeps an association to the archive from others. */
export const MIN_DOWNLOAD_RATE = 4096
