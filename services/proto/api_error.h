// The numbers of `error` in the JSON replies of the API and in the replies of the verify and the status service.
#ifndef PIPIT_API_ERROR_H
#define PIPIT_API_ERROR_H

enum api_error {
    API_OK = 0,
    API_BAD_JSON = 1001,
    API_NOT_DELIVERED = 1002,
    API_BAD_FIELD = 1003,
    API_CODE_GONE = 1004,
    API_CODE_WRONG = 1005,
    API_TAKEN = 1006,
    API_UNKNOWN_USER = 1007,
    API_WRONG_PASSWORD = 1008,
    API_INTERNAL = 1009,
    API_BAD_TOKEN = 1010,
    API_TOO_MANY = 1011,
};

#endif
