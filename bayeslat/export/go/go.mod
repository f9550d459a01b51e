module steptime

go 1.19
