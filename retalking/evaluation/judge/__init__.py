"""An outside judge of lips: networks that are neither trained here nor trained with."""
