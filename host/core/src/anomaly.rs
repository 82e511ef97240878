//! A finding made public: JSON with derived ids.
